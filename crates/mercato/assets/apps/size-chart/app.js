const sizes = [['S', 90, 76], ['M', 98, 84], ['L', 106, 92], ['XL', 114, 101]];
const inches = document.getElementById('inches');

function show() {
  const unit = (cm) => (inches.checked ? `${Math.round(cm / 2.54)}″` : `${cm} cm`);
  const rows = sizes.map(([name, ...measures]) => {
    const row = document.createElement('tr');
    row.append(...[name, ...measures.map(unit)].map((text) => {
      const cell = document.createElement('td');
      cell.textContent = text;
      return cell;
    }));
    return row;
  });
  document.getElementById('sizes').replaceChildren(...rows);
}

inches.addEventListener('change', show);
show();
