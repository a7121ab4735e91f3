// One picture, large.
import { h, icon } from "./dom.js";

/** Show a picture over everything; Escape or a click closes it. */
export function openImage(src, alt) {
  const close = () => {
    dialog.close();
    dialog.remove();
  };
  const dialog = h("dialog", { class: "lightbox", onclick: close, oncancel: close, "aria-label": alt, data: { testid: "lightbox" } },
    h("button", { type: "button", class: "icon-button lightbox-close", "aria-label": "Close" }, icon("close")),
    h("img", { src, alt }),
    h("p", {}, alt));
  document.body.append(dialog);
  dialog.showModal();
}
