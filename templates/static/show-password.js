// Adds a button that shows the typed password, and hides it again. Without this script there is no button.
const field = document.getElementById("password");
const button = document.createElement("button");
const show = (shown) => {
  field.type = shown ? "text" : "password";
  button.textContent = shown ? field.dataset.hide : field.dataset.show;
};
button.type = "button";
button.id = "show-password";
button.className = "quiet";
button.setAttribute("aria-controls", field.id);
button.addEventListener("click", () => {
  show(field.type === "password");
  field.focus();
});
// Submitted as a password field, because browsers offer to remember the content of other fields.
field.form.addEventListener("submit", () => show(false));
// A page restored by the back button hides it again.
addEventListener("pagehide", () => show(false));
show(false);
field.after(button);
