// The sign-in link's page: a person opened it, so its one button is pressed for them. A link preview runs no script.
document.querySelector("form[data-press-once]")?.submit();
