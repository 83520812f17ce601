// Escape closes the control of the time, and the focus returns to what opened it.
const control = document.getElementById("as-of");

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !control?.open) return;
  control.open = false;
  control.querySelector("summary").focus();
});
