// Tells in the page that the browser is too old for it, or that a part of it did not load.
//
// Every browser reads this file: no module, and no syntax younger than 2009.

addEventListener("load", function () {
	var started = document.documentElement.getAttribute("data-view"); // set by main.js
	// Nested rules are the youngest thing the page needs; who has them can read the modules, too.
	var young = window.CSS && CSS.supports && CSS.supports("selector(&)");
	var notice = !young ? "too-old" : started ? "" : "incomplete";
	if (notice) document.getElementById(notice).removeAttribute("hidden");
});
