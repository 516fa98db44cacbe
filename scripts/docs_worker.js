"use strict";
/* The site's search runs in a worker, which browsers refuse to pages that are read from disk. There a hidden frame takes
   its place: it runs the same script, which hears and answers as it would in a worker. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = Object.assign(document.createElement("iframe"), {hidden: true});
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.open();
      inside.document.write("<!doctype html><title>worker</title><body>");
      inside.document.close();
      inside.postMessage = data => setTimeout(() => this.dispatchEvent(new MessageEvent("message", {data})));
      const load = name => new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        Object.assign(script, {src: new URL(name, location.href).href, onload: resolve, onerror: reject});
        inside.document.body.append(script);
      });
      inside.importScripts = (...names) => names.reduce((before, name) => before.then(() => load(name)), Promise.resolve());
      this.ready = load(url);
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data})));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
