// Takes one report from the page that opened this frame or tab, and becomes it. The frame has no origin: what a
// report does cannot reach the server, the key, or the page.
"use strict";
const host = window.opener || (window.parent === window ? null : window.parent);
window.addEventListener("message", event => {
  if (!host || event.source !== host || typeof event.data !== "string") return;
  window.opener = null;
  document.open();
  document.write(event.data);
  document.close();
}, {once: true});
if (host) host.postMessage("ready", "*");
