// Orders products by how long their stock will last.
const SOON_DAYS = 14;

function daysLeft({ stock, sold }) {
  return sold === 0 ? Infinity : Math.floor((stock * 30) / sold);
}

function row(product) {
  const days = daysLeft(product);
  const element = document.createElement("tr");
  element.className = days < SOON_DAYS ? "soon" : "";
  const lasts = Number.isFinite(days) ? `${days} days` : "no sales";
  for (const text of [product.title, product.stock, product.sold, lasts]) {
    element.append(Object.assign(document.createElement("td"), { textContent: text }));
  }
  return element;
}

async function show() {
  const answer = await fetch("/admin/products/stock");
  const { products } = await answer.json();
  products.sort((one, other) => daysLeft(one) - daysLeft(other));
  document.getElementById("rows").replaceChildren(...products.map(row));
}

show();
