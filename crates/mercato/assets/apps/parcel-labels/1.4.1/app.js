// Copies the address onto the label, as text: an address that a customer typed must never become markup.
const address = document.getElementById("address");
const to = document.querySelector("#label .to");

function show() {
  to.textContent = address.value;
}

address.addEventListener("input", show);
document.getElementById("print").addEventListener("click", () => window.print());
show();
