"use strict";
/* A chart that zooms in place of a path's picture, when a reader asks for it. Numbers come from the JSON block, words go
   in as text alone; without this script, and on paper, the pictures are what is seen. */
(() => {
  const library = window.LightweightCharts;
  const data = JSON.parse(document.getElementById("zoom-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const ROOM = 60; // pixels that a fill's side or profit takes; with less room the marks stand alone
  const HELP = "Drag to move, pinch or turn the wheel to zoom, hold a finger on a bar to read it. Keys: left and right move the crosshair (with Shift ten bars), "
    + "Home and End go to the ends, + and - zoom, 0 shows the whole path, Escape returns to the picture. "
    + "Arrows mark the bars of the fills, dots their prices.";

  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text || "";
    return element;
  };
  const signs = (text) => text.replaceAll(",", "\u202f").replace("-", "\u2212");
  const fixed = (value, digits) => {
    const text = signs(value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
    return /[1-9]/.test(text) ? text : text.replace("\u2212", "");
  };
  const signed = (value, digits) => (value > 0 ? "+" : "") + fixed(value, digits);
  const price = (value) => fixed(value, data.digits);
  const size = (value) => signs(value.toLocaleString("en-US", { maximumSignificantDigits: 5 }));

  const sums = (steps) => { let at = 0; return steps.map((step) => (at += step)); };
  const candles = ([opens, highs, lows, closes], first) => {
    const unit = 10 ** data.digits;
    let last = 0;
    return closes.map((step, at) => {
      const open = last + opens[at], close = last + step;
      const high = Math.max(open, close) + highs[at], low = Math.min(open, close) - lows[at];
      last = close;
      return { time: first + at, open: open / unit, high: high / unit, low: low / unit, close: close / unit };
    });
  };
  const trade = ([long, entry, entryPrice, exit, exitPrice, units, profit, open, asset]) => (
    { side: long ? "long" : "short", long: !!long, entry, entryPrice, exit, exitPrice, units, profit, open: !!open, asset });

  const unpack = (key) => {
    const kept = data.paths[key], start = kept.start;
    const past = kept.lines || start ? { times: [], bars: [] }
      : { times: data.before.times, bars: candles(data.before.candles, -data.before.times.length) };
    const times = data.times[kept.times], stop = start + times.length;
    const bars = kept.lines ? [] : candles(data.candles[kept.candles], start);
    return {
      start, stop, first: start - Math.max(past.times.length, 1), whole: kept.bars, past: past.bars, bars,
      moments: new Map([...past.times.map((text, at) => [at - past.times.length, text]), ...times.map((text, at) => [start + at, text])]),
      lines: (kept.lines || []).map((line) => ({ ...line, closes: sums(line.closes).map((value, at) => ({ time: start + at, value: value / 10000 })) })),
      assets: kept.assets || 0,
      equity: sums(kept.equity).map((value, at) => ({ time: start - 1 + at, value: value / 100 })),
      exposure: sums(kept.exposure).map((value, at) => ({ time: start + at, value: value / 10 })),
      trades: kept.trades.map(trade),
    };
  };

  /* What stands at a bar, in words. */
  const tell = (path, bar) => {
    const parts = [bar >= path.start ? `bar ${fixed(bar, 0)}` : path.past.length ? `context, ${-bar} bar${bar === -1 ? "" : "s"} before` : "before these bars"];
    if (path.moments.has(bar)) parts.push(path.moments.get(bar));
    const candle = [...path.past, ...path.bars].find((each) => each.time === bar);
    if (candle) for (const key of ["open", "high", "low", "close"]) parts.push(`${key} ${price(candle[key])}`);
    for (const line of path.lines) {
      const close = line.closes.find((each) => each.time === bar);
      if (close) parts.push(`${line.name} ${signed(100 * (close.value - 1), 1)}%`);
    }
    const exposure = path.exposure.find((each) => each.time === bar), equity = path.equity.find((each) => each.time === bar);
    if (exposure) parts.push(`exposure ${fixed(exposure.value, 0)}%`);
    if (equity) parts.push(`equity ${fixed(equity.value, 2)}`);
    for (const each of path.trades) {
      const asset = each.asset ? `${each.asset} ` : "";
      if (each.entry === bar) parts.push(`opened ${each.side}: ${size(each.units)} ${asset}at ${size(each.entryPrice)}`);
      if (each.exit === bar) parts.push(`${each.open ? "still open" : "closed"} ${each.side} ${asset}at ${size(each.exitPrice)}: profit ${signed(each.profit, 2)}`);
    }
    return parts.join(" \u00b7 ");
  };

  const draw = (box, path, readout) => {
    const style = getComputedStyle(document.documentElement), font = getComputedStyle(document.body).fontFamily;
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const ink = colour("ink"), muted = colour("mut"), reference = colour("ref"), ground = colour("bg"), hair = colour("hair");
    const mark = { color: muted, labelBackgroundColor: colour("acc") };
    const chart = library.createOptionsChart(box, {
      autoSize: true,
      localization: { locale: "en-US", precision: 0 },
      layout: {
        attributionLogo: false, background: { color: ground }, textColor: muted, fontSize: 12, fontFamily: font,
        panes: { separatorColor: colour("rule"), separatorHoverColor: hair },
      },
      grid: { vertLines: { color: hair }, horzLines: { color: hair } },
      crosshair: { mode: library.CrosshairMode.Normal, vertLine: mark, horzLine: mark },
      rightPriceScale: { borderColor: colour("rule") },
      timeScale: { borderColor: colour("rule"), minBarSpacing: 0.2, maxBarSpacing: 60 },
      handleScroll: { vertTouchDrag: false },
      kineticScroll: { touch: !still, mouse: false },
    });
    const add = (kind, pane, format, options) => chart.addSeries(kind, {
      priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "custom", minMove: format[1], formatter: format[0] }, ...options,
    }, pane);
    const amount = [price, 10 ** -data.digits], whole = [(value) => fixed(value, 0), 0.01];

    let main = null;
    const marked = new Map(); // by asset, "" where there is one
    if (path.lines.length) {
      path.lines.forEach((line, at) => {
        const series = add(library.LineSeries, 0, [(value) => `${signed(100 * (value - 1), 1)}%`, 0.0001], {
          color: colour(`s${(at % 4) + 1}`), lineWidth: 2, lineStyle: at < 4 ? 0 : 2, title: line.name, lastValueVisible: true,
        });
        series.setData(line.closes);
        marked.set(line.name, { series, first: line.first });
        main = main || series;
      });
    } else {
      main = add(library.CandlestickSeries, 0, amount, {
        upColor: ground, downColor: ink, borderUpColor: ink, borderDownColor: ink, wickUpColor: ink, wickDownColor: ink,
      });
      main.setData([
        ...path.past.map((bar) => ({ ...bar, color: bar.close < bar.open ? reference : ground, borderColor: reference, wickColor: reference })),
        ...path.bars,
      ]);
      marked.set("", { series: main, first: 1 });
    }
    add(library.HistogramSeries, 1, [(value) => `${fixed(value, 0)}%`, 1], {}).setData(
      path.exposure.map((point) => ({ ...point, color: colour(point.value < 0 ? "s2" : "s1") })));
    if (path.bars.length) {
      const held = path.bars.map((bar) => ({ time: bar.time, value: (100 * bar.close) / data.anchor }));
      add(library.LineSeries, 2, whole, { color: reference, lineWidth: 1, lineStyle: 2, crosshairMarkerVisible: false }).setData(held);
    }
    add(library.LineSeries, 2, whole, { color: ink, lineWidth: 2 }).setData(path.equity);
    const titles = [
      path.lines.length ? `closes from their first, log${path.assets > path.lines.length ? `: the ${path.lines.length} outermost of ${path.assets}` : ""}` : "price, log",
      "exposure", `equity, start = 100${path.lines.length ? "" : "; dashed: held"}`,
    ];
    chart.panes().forEach((pane, at) => {
      pane.setStretchFactor([6, 1.3, 2.4][at]);
      pane.priceScale("right").applyOptions({ entireTextOnly: true, mode: library.PriceScaleMode[at ? "Normal" : "Logarithmic"] });
      library.createTextWatermark(pane, { horzAlign: "left", vertAlign: "top", lines: [{ text: titles[at], color: muted, fontSize: 12, fontFamily: font }] });
    });

    const inside = (bar) => bar >= path.start && bar < path.stop;
    const fills = path.trades.filter((each) => marked.has(each.asset || "")).flatMap((each) => [
      ...(inside(each.entry) ? [{ bar: each.entry, at: each.entryPrice, bought: each.long, each, profit: null }] : []),
      ...(inside(each.exit) && !each.open ? [{ bar: each.exit, at: each.exitPrice, bought: !each.long, each, profit: each.profit }] : []),
    ]).sort((fill, other) => fill.bar - other.bar);
    const label = (fill) => { // fills of several assets at one bar are written once, beside the first
      const kin = fills.filter((other) => other.bar === fill.bar && other.bought === fill.bought && (other.profit === null) === (fill.profit === null));
      if (kin[0] !== fill) return {};
      const who = kin.length > 1 ? `${kin.length} \u00d7 ` : fill.each.asset ? `${fill.each.asset} ` : "";
      return { text: who + (fill.profit === null ? fill.each.side : signed(kin.reduce((sum, other) => sum + other.profit, 0), 0)) };
    };
    const plugins = [...marked].map(([asset, { series, first }]) => ({ asset, first, plugin: library.createSeriesMarkers(series, []) }));
    const placeFlags = (written) => plugins.forEach(({ asset, first, plugin }) => plugin.setMarkers(
      fills.filter((fill) => (fill.each.asset || "") === asset).flatMap((fill) => {
        const common = { time: fill.bar, color: colour(fill.bought ? "s1" : "s2") };
        return [
          { ...common, position: "atPriceMiddle", price: fill.at / first, shape: "circle", size: 0.25 },
          { ...common, position: fill.bought ? "belowBar" : "aboveBar", shape: fill.bought ? "arrowUp" : "arrowDown", size: 0.8, ...(written ? label(fill) : {}) },
        ];
      })));
    let wasWritten = null;
    const scale = chart.timeScale();
    scale.subscribeVisibleLogicalRangeChange((range) => {
      if (!range) return;
      const seen = fills.filter((fill) => fill.bar - path.first >= range.from && fill.bar - path.first <= range.to);
      const written = seen.length * ROOM <= box.clientWidth;
      if (written !== wasWritten) placeFlags((wasWritten = written));
    });
    placeFlags((wasWritten = fills.length * ROOM <= box.clientWidth));
    const most = path.stop - path.first;
    const fit = () => scale.setVisibleLogicalRange({ from: -1, to: most });

    let cursor = path.stop - 1;
    chart.subscribeCrosshairMove((event) => {
      if (event.time === undefined) return;
      cursor = event.time;
      readout.textContent = tell(path, cursor);
    });
    const point = (bar) => {
      cursor = Math.min(Math.max(bar, path.first), path.stop - 1);
      const range = scale.getVisibleLogicalRange(), at = cursor - path.first;
      const by = range && at < range.from + 0.5 ? at - range.from - 0.5 : range && at > range.to - 0.5 ? at - range.to + 0.5 : 0;
      if (by) scale.setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
      const series = path.bars.length ? [...path.past, ...path.bars] : path.lines[0].closes;
      const bars = series.find((each) => each.time === cursor) || series[0];
      chart.setCrosshairPosition(bars.close === undefined ? bars.value : bars.close, cursor, main);
      readout.textContent = tell(path, cursor);
    };
    const zoom = (factor) => {
      const range = scale.getVisibleLogicalRange(), at = cursor - path.first;
      if (!range) return;
      const middle = at > range.from && at < range.to ? at : (range.from + range.to) / 2;
      const span = Math.max((range.to - range.from) * factor, 5);
      if (span >= most) { fit(); return; }
      const from = Math.min(Math.max(middle - ((middle - range.from) / (range.to - range.from)) * span, -1), most - span);
      scale.setVisibleLogicalRange({ from, to: from + span });
    };
    point(path.stop - 1);
    fit(); // after the crosshair, which moves what is in view
    return { chart, point, zoom, fit, cursor: () => cursor, destroy: () => chart.remove() };
  };

  const prepare = (holder, number) => {
    const picture = holder.querySelector("svg").getAttribute("aria-label");
    const tools = make("p", { class: "tools" });
    const opener = make("button", { type: "button", "aria-expanded": "false" }, "Zoom into this path");
    tools.append(opener);
    holder.prepend(tools);
    let shown = null;

    const close = () => {
      shown.drawn.destroy();
      for (const element of [shown.box, shown.readout, shown.help, ...shown.buttons]) element.remove();
      dark.removeEventListener("change", shown.again);
      shown = null;
      holder.classList.remove("on");
      opener.setAttribute("aria-expanded", "false");
      opener.textContent = "Zoom into this path";
    };
    const open = () => {
      const path = unpack(holder.dataset.zoom);
      const box = make("div", { class: "chart", tabindex: "0", role: "application", "aria-label": picture, "aria-describedby": `zoom-help-${number}` });
      const readout = make("p", { class: "readout", "aria-live": "polite" });
      const part = path.stop - path.start < path.whole ? `Bars ${path.start} to ${path.stop - 1} of ${path.whole}. ` : "";
      const help = make("p", { class: "small", id: `zoom-help-${number}` }, part + HELP);
      holder.append(box, readout, help);
      holder.classList.add("on");
      const again = () => { shown.drawn.destroy(); shown.drawn = draw(box, path, readout); };
      const buttons = [["Zoom in", () => shown.drawn.zoom(0.5)], ["Zoom out", () => shown.drawn.zoom(2)], ["Whole path", () => shown.drawn.fit()]]
        .map(([text, act]) => { const button = make("button", { type: "button" }, text); button.addEventListener("click", act); return button; });
      tools.append(...buttons);
      shown = { box, readout, help, buttons, again, drawn: draw(box, path, readout) };
      dark.addEventListener("change", again);
      box.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const by = event.shiftKey ? 10 : 1, { point, zoom, fit, cursor } = shown.drawn;
        const act = {
          ArrowLeft: () => point(cursor() - by), ArrowRight: () => point(cursor() + by),
          Home: () => point(path.first), End: () => point(path.stop - 1),
          "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: fit,
          Escape: () => { close(); opener.focus(); },
        }[event.key];
        if (act) { event.preventDefault(); act(); }
      });
      opener.setAttribute("aria-expanded", "true");
      opener.textContent = "Picture";
      box.focus();
    };
    opener.addEventListener("click", () => (shown ? close() : open()));
  };

  if (library) document.querySelectorAll("[data-zoom]").forEach(prepare);
})();
