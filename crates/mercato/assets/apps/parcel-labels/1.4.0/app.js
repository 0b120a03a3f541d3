// Copies the address onto the label.
const address = document.getElementById("address");
const to = document.querySelector("#label .to");

function show() {
  to.innerHTML = address.value;
}

address.addEventListener("input", show);
document.getElementById("print").addEventListener("click", () => window.print());
show();
