"use strict";
/* The forecast as candles, bands and a few paths that a reader can move and zoom. Numbers come from the JSON block, words
   go in as text alone; without this script, and on paper, the picture is what is seen. */
(() => {
  const library = window.LightweightCharts;
  const holder = document.getElementById("live-chart");
  if (!library || !holder) return;
  const data = JSON.parse(document.getElementById("zoom-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const HELP = "Drag to move, pinch or turn the wheel to zoom. Keys: left and right move the crosshair (with Shift ten bars), "
    + "+ and - zoom, 0 shows all. Bar 0 is the last known one; after it, lines are the median, the bands of 50 and 90 % of the paths, and some of these.";

  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text || "";
    return element;
  };
  const price = (value) => value.toLocaleString("en-US", { minimumFractionDigits: data.digits, maximumFractionDigits: data.digits });
  const first = data.candles[0].time, last = data.bands.median[data.bands.median.length - 1].time;
  const candles = new Map(data.candles.map((bar) => [bar.time, bar]));
  const ahead = new Map(data.bands.median.map((point, at) => [point.time, at]));

  /* What stands at a bar, in words. */
  const tell = (bar) => {
    const parts = [bar > 0 ? `${bar} bar${bar === 1 ? "" : "s"} ahead` : bar ? `${-bar} bar${bar === -1 ? "" : "s"} before the last` : "the last bar"];
    parts.push(data.stamps[bar - first]);
    const candle = candles.get(bar), at = ahead.get(bar);
    if (candle) for (const key of ["open", "high", "low", "close"]) parts.push(`${key} ${price(candle[key])}`);
    else if (at !== undefined) {
      parts.push(`median ${price(data.bands.median[at].value)}`);
      parts.push(`half of the paths from ${price(data.bands.q25[at].value)} to ${price(data.bands.q75[at].value)}`);
      parts.push(`90 % from ${price(data.bands.q05[at].value)} to ${price(data.bands.q95[at].value)}`);
    }
    return parts.join(" \u00b7 ");
  };

  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const help = make("p", { class: "small", id: "live-help" }, HELP);
  const box = make("div", { class: "chart", tabindex: "0", role: "application", "aria-label": holder.querySelector("svg").getAttribute("aria-label"), "aria-describedby": "live-help" });
  holder.append(box, readout, help);
  holder.classList.add("on");

  const draw = () => {
    const style = getComputedStyle(document.documentElement), font = getComputedStyle(document.body).fontFamily;
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const ink = colour("ink"), ground = colour("bg"), mark = { color: colour("mut"), labelBackgroundColor: colour("acc") };
    const chart = library.createOptionsChart(box, {
      autoSize: true,
      localization: { locale: "en-US", precision: 0 },
      layout: { attributionLogo: false, background: { color: ground }, textColor: colour("mut"), fontSize: 12, fontFamily: font },
      grid: { vertLines: { color: colour("hair") }, horzLines: { color: colour("hair") } },
      crosshair: { mode: library.CrosshairMode.Normal, vertLine: mark, horzLine: mark },
      rightPriceScale: { borderColor: colour("rule") },
      timeScale: { borderColor: colour("rule"), minBarSpacing: 0.2, maxBarSpacing: 60 },
      handleScroll: { vertTouchDrag: false },
      kineticScroll: { touch: !still, mouse: false },
    });
    const common = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false, priceFormat: { type: "custom", minMove: 10 ** -data.digits, formatter: price } };
    const line = (points, options) => chart.addSeries(library.LineSeries, { ...common, ...options }, 0).setData(points);
    for (const path of data.paths) line(path, { color: colour("ref"), lineWidth: 1 });
    for (const key of ["q05", "q95"]) line(data.bands[key], { color: colour("s1"), lineWidth: 1, lineStyle: 2 });
    for (const key of ["q25", "q75"]) line(data.bands[key], { color: colour("s1"), lineWidth: 1 });
    line(data.bands.median, { color: colour("s1"), lineWidth: 3 });
    const main = chart.addSeries(library.CandlestickSeries, {
      ...common, upColor: ground, downColor: ink, borderUpColor: ink, borderDownColor: ink, wickUpColor: ink, wickDownColor: ink,
    }, 0);
    main.setData(data.candles);
    const scale = chart.timeScale();
    const fit = () => scale.setVisibleLogicalRange({ from: -1, to: last - first + 1 });
    const latest = () => scale.setVisibleLogicalRange({ from: -data.shown - first, to: last - first + 1 });
    let cursor = 0;
    chart.subscribeCrosshairMove((event) => {
      if (event.time === undefined) return;
      cursor = event.time;
      readout.textContent = tell(cursor);
    });
    const point = (bar) => {
      cursor = Math.min(Math.max(bar, first), last);
      const at = ahead.get(cursor), candle = candles.get(cursor);
      chart.setCrosshairPosition(candle ? candle.close : data.bands.median[at].value, cursor, main);
      readout.textContent = tell(cursor);
    };
    const zoom = (factor) => {
      const range = scale.getVisibleLogicalRange();
      if (!range) return;
      const span = Math.max((range.to - range.from) * factor, 5), middle = (range.from + range.to) / 2;
      if (span >= last - first + 2) fit(); else scale.setVisibleLogicalRange({ from: middle - span / 2, to: middle + span / 2 });
    };
    latest();
    readout.textContent = tell(0);
    return { point, zoom, fit, cursor: () => cursor, destroy: () => chart.remove() };
  };

  let drawn = draw();
  dark.addEventListener("change", () => { drawn.destroy(); drawn = draw(); });
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 10 : 1;
    const act = {
      ArrowLeft: () => drawn.point(drawn.cursor() - by), ArrowRight: () => drawn.point(drawn.cursor() + by),
      "+": () => drawn.zoom(0.5), "=": () => drawn.zoom(0.5), "-": () => drawn.zoom(2), 0: drawn.fit,
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
