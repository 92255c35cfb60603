/** What anywidget asks for: the live lab, whose data the kernel changes. */
export default {
  render({ model, el }) {
    const host = document.createElement("div");
    host.className = "lthlab-knob";
    el.append(host);
    const renew = start(host, structuredClone(model.get("data")), (message) => model.send(message));
    const renewed = () => renew(structuredClone(model.get("data")));
    model.on("change:data", renewed);
    return () => model.off("change:data", renewed);
  },
};
