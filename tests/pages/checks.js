// What is asked of a page that is loaded. Each function gives a list of complaints, in words; none changes the page
// for good. It is put into the page by the browser's own debugger, so that the strict policy stays in force.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const name = (node) => `<${node.localName}${node.className ? "." + String(node.className).replace(/ /g, ".") : ""}> “${words(node).slice(0, 40)}”`;
  const seen = (node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest(".unseen");

  /** Any CSS colour as [red, green, blue, alpha], 0 to 255. */
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    return brush.getImageData(0, 0, 1, 1).data;
  };
  const light = ([...rgb]) => {
    const [red, green, blue] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = paint(getComputedStyle(each).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return paint("Canvas");
  };

  return {
    structure(brand) {
      const wrong = [];
      const heads = all("h1, h2, h3, h4, h5, h6");
      const h1 = heads.filter((each) => each.localName === "h1");
      if (h1.length !== 1) wrong.push(`${h1.length} h1`);
      let level = 0;
      for (const each of heads.filter((one) => !one.closest("[role=alert]"))) {
        const own = Number(each.localName[1]);
        if (own > level + 1) wrong.push(`${name(each)} after level ${level}`);
        level = own;
      }
      if (all("main").length !== 1) wrong.push(`${all("main").length} main`);
      for (const each of all("nav")) if (!each.ariaLabel && !each.getAttribute("aria-labelledby")) wrong.push(`a nav without a name`);
      const title = h1.length ? new RegExp(`^(Error: )?${RegExp.escape(words(h1[0]))}( \\(.+\\))? – ${RegExp.escape(brand)}$`) : /x^/;
      if (!title.test(document.title)) wrong.push(`title “${document.title}”`);
      const ids = all("[id]").map((each) => each.id);
      for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id ${id} twice`);
      if (!document.documentElement.lang) wrong.push("no lang");
      return wrong;
    },

    /** 24 by 24 unless it is a link within a sentence; buttons and fields 44 high. */
    targets() {
      const wrong = [];
      for (const each of all("a, button, input, select, textarea, summary, label").filter(seen)) {
        if (each.type === "hidden") continue;
        const { width, height } = each.getBoundingClientRect();
        const inline = getComputedStyle(each).display === "inline" && words(each.parentElement).length > words(each).length;
        if (!inline && (width < 23.99 || height < 23.99)) wrong.push(`${name(each)} is ${width.toFixed(1)} × ${height.toFixed(1)}`);
        const box = each.matches(".btn, select, textarea, input:not([type=radio], [type=checkbox])");
        if (box && height < 43.99) wrong.push(`${name(each)} is ${height.toFixed(1)} high`);
      }
      return wrong;
    },

    tags() {
      return all(".tag").map((each) => [words(each), each.dataset.glyph ?? "", [...each.classList].find((one) => one.startsWith("tone-")) ?? ""]);
    },

    tables() {
      const wrong = [];
      for (const table of all("table")) {
        if (!table.caption || !words(table.caption)) wrong.push("a table without caption");
        for (const each of all("th", table)) if (!each.scope) wrong.push(`${name(each)} without scope`);
        for (const each of all("th[scope=col] a", table)) if (!each.closest("th").ariaSort) wrong.push(`${name(each)} sorts without aria-sort`);
      }
      return wrong;
    },

    fields() {
      return all("input, select, textarea")
        .filter((each) => !["hidden", "radio", "checkbox", "submit"].includes(each.type))
        .map((each) => [each.name, each.type, each.getAttribute("autocomplete") ?? "", each.inputMode]);
    },

    /** Links and buttons in main: their number, the primary ones, and the addresses of this site. */
    ways() {
      return {
        any: all("main a[href], main button").filter(seen).length,
        primary: all("main .btn:not(.quiet)").map(words),
        foot: all("footer .foot > *").map(words),
        mode: words(document.querySelector("body > header")?.firstElementChild ?? document.head),
      };
    },

    /** Words that only the style sheet says, but for the glyphs of tags. */
    painted() {
      const wrong = [];
      for (const each of all("body *")) {
        if (each.dataset.glyph) continue;
        for (const part of ["::before", "::after"]) {
          const { content } = getComputedStyle(each, part);
          if (!["none", "normal", '""'].includes(content)) wrong.push(`${name(each)}${part} says ${content}`);
        }
      }
      return wrong;
    },

    /** Anything that is wider than the page, or cut off. */
    overflow() {
      const wrong = [];
      const { scrollWidth, clientWidth } = document.documentElement;
      const wide = scrollWidth > clientWidth;
      if (wide) wrong.push(`the page is ${scrollWidth} wide on ${clientWidth}`);
      for (const each of all("body *").filter(seen)) {
        if (wide && each.getBoundingClientRect().right > clientWidth + 1) wrong.push(`${name(each)} sticks out`);
        const style = getComputedStyle(each);
        if (style.clipPath !== "none") continue; // hidden on purpose, and read aloud
        const cut = each.scrollWidth > each.clientWidth + 1 && ["hidden", "clip"].includes(style.overflowX);
        const low = each.scrollHeight > each.clientHeight + 1 && ["hidden", "clip"].includes(style.overflowY);
        if (each.clientWidth && (cut || low)) wrong.push(`${name(each)} is cut off`);
        const scrolls = each.scrollWidth > each.clientWidth + 1 && ["auto", "scroll"].includes(style.overflowX);
        const told = each.matches("[role=region][tabindex='0'][aria-labelledby], [role=region][tabindex='0'][aria-label]");
        if (scrolls && !told) wrong.push(`${name(each)} scrolls sideways and is no region`);
      }
      return wrong.slice(0, 5);
    },

    /** Each stop of the Tab key: its ring, and that nothing lies above it. Press Tab once before. */
    stops() {
      const wrong = [];
      const stops = all("a[href], button, input, select, textarea, summary, [tabindex='0']");
      for (const each of stops.filter((one) => one.type !== "hidden" && one.tabIndex >= 0 && one.checkVisibility())) {
        each.focus();
        const style = getComputedStyle(each);
        const ring = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
        if (ring < 2) wrong.push(`${name(each)} has a ring of ${ring}`);
        else if (contrast(paint(style.outlineColor), ground(each.parentElement)) < 3) wrong.push(`${name(each)} has a pale ring`);
        const { left, top, width, height } = each.getClientRects()[0] ?? each.getBoundingClientRect();
        const above = document.elementFromPoint(left + width / 2, top + height / 2);
        if (!above || !(each.contains(above) || above.contains(each))) wrong.push(`${name(each)} is under ${above ? name(above) : "the edge"}`);
      }
      document.activeElement?.blur();
      return wrong;
    },

    borders() {
      return all(".btn, .tag, .input, select, textarea")
        .filter((each) => seen(each) && !(parseFloat(getComputedStyle(each).borderTopWidth) >= 1))
        .map((each) => `${name(each)} has no border`);
    },

    secondary() {
      const ink = getComputedStyle(document.body).color;
      return all(".small, .hint, .date, .foot, caption, th[scope=col], .ledger dt")
        .filter((each) => seen(each) && getComputedStyle(each).color !== ink)
        .map((each) => `${name(each)} is not in ink`);
    },

    motion() {
      const moving = document.getAnimations().map((each) => String(each.animationName ?? each.transitionProperty));
      const slow = all("*").filter((each) => getComputedStyle(each).transitionDuration !== "0s");
      return [...moving, ...slow.map((each) => `${name(each)} takes its time`)];
    },

    title() {
      return document.title;
    },

    /** Whether the page goes on asking for news of itself. */
    polls() {
      return Boolean(document.querySelector("[data-poll]"));
    },

    /** What overflows where the text is twice as large. */
    enlarged() {
      document.documentElement.style.fontSize = "200%";
      const wrong = this.overflow();
      document.documentElement.style.fontSize = "";
      return wrong;
    },

    /** What overflows with the space between lines, words and letters that people may set for themselves. */
    spaced() {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-block-end: 2em !important }");
      document.adoptedStyleSheets = [sheet];
      const wrong = this.overflow();
      document.adoptedStyleSheets = [];
      return wrong;
    },

    /** Every part with what it stands in: what is read of its meaning depends on these. */
    parts() {
      const kind = (node) => node && `${node.localName}.${[...node.classList].sort().join(".")}[${node.getAttributeNames().sort()}]`;
      return [...new Set(all("body *").map((node) => `${kind(node)} in ${kind(node.parentElement)}`))];
    },

    /** Every way in which something is written here: its ink, its size, and all grounds that lie under it. */
    inks() {
      const grounds = (node) => {
        const found = [];
        for (let each = node; each; each = each.parentElement) {
          const style = getComputedStyle(each);
          found.push(style.backgroundColor, style.backgroundImage, style.opacity);
        }
        return found.filter((value) => !["rgba(0, 0, 0, 0)", "none", "1"].includes(value));
      };
      const written = (node) => node.matches("input, select, textarea") || [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
      const ink = (node) => {
        const { color, fontSize, fontWeight } = getComputedStyle(node);
        const beside = node.localName === "a" ? getComputedStyle(node.parentElement).color : "";
        return [color, fontSize, fontWeight, beside, ...grounds(node)].join(" ");
      };
      return [...new Set(all("body *").filter(written).filter(seen).map(ink))];
    },

    async axe([only, without]) {
      const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]));
      const found = await axe.run(document, { runOnly: only, rules, resultTypes: ["violations", "incomplete"], preload: false, iframes: false });
      const brief = (list) => list.flatMap((rule) => rule.nodes.map((node) => [rule.id, node.target.join(" "), (node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? rule.help]));
      return { violations: brief(found.violations), incomplete: brief(found.incomplete) };
    },
  };
})()
