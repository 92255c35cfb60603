// What scrolls inside itself can be reached with the keyboard, and only that.
const INSIDE = ".table-wrapper, .formula, .highlight pre, .cell_output .output";

function mark() {
  for (const box of document.querySelectorAll(INSIDE)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

mark();
addEventListener("load", mark);
addEventListener("resize", mark);
