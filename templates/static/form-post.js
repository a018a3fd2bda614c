// Sends the one form of the form_post page; without this script its Continue button does.
// By the prototype, because a field named "submit" would hide form.submit.
HTMLFormElement.prototype.submit.call(document.getElementById("form-post"));
