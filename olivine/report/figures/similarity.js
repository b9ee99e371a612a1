// Similarity to an anchor point: a click, a tap or the slider chooses another anchor, and every map is drawn anew.
(() => {
  "use strict";
  const root = document.getElementById("similarity-maps");
  const data = JSON.parse(document.getElementById("similarity-data").textContent);
  const [width, height] = data.size;
  const [rows, columns] = data.grid;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const places = new Uint16Array(bytes(data.places).buffer);
  const labels = bytes(data.labels);
  const count = labels.length;
  const spaces = data.spaces.map((space) => ({
    ...space,
    points: new Int8Array(bytes(space.points).buffer),
    pixels: space.pixels === null ? null : new Int8Array(bytes(space.pixels).buffer),
  }));
  const x = (point) => (places[2 * point + 1] / 65535) * width;
  const y = (point) => (places[2 * point] / 65535) * height;

  // (1 + cosine) / 2 of every row to the anchor's.
  function similarity(space, features, anchor) {
    const { points, dim, step } = space;
    const result = new Float32Array(features.length / dim);
    for (let row = 0; row < result.length; row++) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += features[row * dim + d] * points[anchor * dim + d];
      result[row] = (1 + sum * step * step) / 2;
    }
    return result;
  }

  function colour(share) {
    const at = share * (data.viridis.length - 1);
    const below = Math.min(Math.floor(at), data.viridis.length - 2);
    return data.viridis[below].map((low, c) => Math.round(low + (data.viridis[below + 1][c] - low) * (at - below)));
  }

  function drawMap(context, similar, low, span) {
    const cells = document.createElement("canvas");
    cells.width = columns;
    cells.height = rows;
    const pixels = new ImageData(columns, rows);
    similar.forEach((value, cell) => pixels.data.set([...colour((value - low) / span), 255], 4 * cell));
    cells.getContext("2d").putImageData(pixels, 0, 0);
    context.globalAlpha = 0.72;
    context.imageSmoothingEnabled = true;
    context.drawImage(cells, 0, 0, width, height);
    context.globalAlpha = 1;
  }

  function drawPoints(context, similar, low, span) {
    context.fillStyle = "rgba(255,255,255,0.45)";
    context.fillRect(0, 0, width, height);
    // The most alike last, on top of the others.
    const order = Array.from(similar.keys()).sort((a, b) => similar[a] - similar[b]);
    for (const point of order) {
      context.fillStyle = `rgb(${colour((similar[point] - low) / span).join()})`;
      context.fillRect(x(point) - 1.5, y(point) - 1.5, 3.5, 3.5);
    }
  }

  function drawAnchor(context, anchor) {
    for (const [radius, style, line] of [[7.5, "#000", 4], [7.5, "#fff", 2]]) {
      context.beginPath();
      context.arc(x(anchor), y(anchor), radius, 0, 2 * Math.PI);
      context.strokeStyle = style;
      context.lineWidth = line;
      context.stroke();
    }
  }

  const nameOf = (point) => data.names[labels[point]] ?? "no weak label";
  const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN);

  // How much more alike the points of the anchor's weak label are than the others.
  function contrast(similar, anchor) {
    const own = [], others = [];
    similar.forEach((value, point) => {
      if (point !== anchor && labels[point] < data.names.length) (labels[point] === labels[anchor] ? own : others).push(value);
    });
    const show = (values) => (values.length ? mean(values).toFixed(2) : "none");
    return `mean of points with the weak label ${nameOf(anchor)}: ${show(own)}; of the others: ${show(others)}`;
  }

  const photo = new Image();
  const slider = root.querySelector("input");
  const said = root.querySelector("output");

  function draw(anchor) {
    root.dataset.anchor = String(anchor);
    slider.value = String(anchor);
    said.textContent = `Anchor: point ${anchor + 1} of ${count}, ${nameOf(anchor)}.`;
    for (const canvas of root.querySelectorAll("canvas")) {
      const space = spaces[Number(canvas.dataset.space)];
      const features = canvas.dataset.over === "pixels" ? space.pixels : space.points;
      const similar = similarity(space, features, anchor);
      const low = Math.min(...similar), high = Math.max(...similar), span = high - low || 1;
      const context = canvas.getContext("2d");
      context.filter = "grayscale(1)";
      context.drawImage(photo, 0, 0, width, height);
      context.filter = "none";
      (canvas.dataset.over === "pixels" ? drawMap : drawPoints)(context, similar, low, span);
      drawAnchor(context, anchor);
      const range = `${low.toFixed(2)} (dark) to ${high.toFixed(2)} (yellow)`;
      const more = canvas.dataset.over === "points" && labels[anchor] < data.names.length ? `; ${contrast(similar, anchor)}` : "";
      canvas.parentElement.querySelector(".reading").textContent = `${range}${more}.`;
    }
  }

  function nearest(atX, atY) {
    let best = 0, least = Infinity;
    for (let point = 0; point < count; point++) {
      const distance = (x(point) - atX) ** 2 + (y(point) - atY) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  for (const canvas of root.querySelectorAll("canvas")) {
    canvas.width = width;
    canvas.height = height;
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      draw(nearest(((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height));
    });
  }
  slider.max = String(count - 1);
  slider.addEventListener("input", () => draw(Number(slider.value)));
  photo.addEventListener("load", () => draw(data.anchor));
  photo.src = data.image;
})();
