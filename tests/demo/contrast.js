// Every text that is seen, with its contrast on what is behind it (WCAG 2.2, 1.4.3); a list of those below `least`.
(least) => {
  const parse = (text) => {
    const pen = parse.pen || (parse.pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => [0, 1, 2].map((part) => front[part] * front[3] + back[part] * (1 - front[3])).concat(1);
  const light = ([r, g, b]) => {
    const linear = (value) => ((value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.backgroundImage !== "none" && !one.matches("input[type=range]")) layers.push([128, 128, 128, 1]);
      layers.push(parse(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const measure = (element, color, text) => {
    const back = behind(element), front = parse(color);
    front[3] *= opacity(element);
    const [high, low] = [light(over(front, back)), light(back)].sort((a, b) => b - a);
    return { text: text.trim().slice(0, 40), contrast: (high + 0.05) / (low + 0.05), color, back: back.slice(0, 3).join() };
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.matches("script, style, noscript")) continue;
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    if (range.getBoundingClientRect().width < 1) continue;
    seen.push(measure(element, getComputedStyle(element).color, node.textContent));
  }
  for (const field of document.querySelectorAll("input:not([type=range]):not([type=radio]), textarea")) {
    if (!field.checkVisibility()) continue;
    seen.push(measure(field, getComputedStyle(field).color, field.value || "field"));
    if (field.placeholder) seen.push(measure(field, getComputedStyle(field, "::placeholder").color, field.placeholder));
  }
  return { count: seen.length, low: seen.filter((one) => one.contrast < least) };
}
