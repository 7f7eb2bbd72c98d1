"use strict";

// What the controls say of the map, as the list that `loss.map` is.

const PLAIN_MAP = {
  base: "boundary",
  anneal: 0,
  width: 3,
  w0: 10,
  sigma: 5,
  inside: -1,
  outside: 1,
  alpha: 2,
  square: true,
  power: 1,
  clip: 0,
  normalise: "none",
  weights: [1, 1, 1, 1],
  mix: "none",
  share: 0.5,
  rectify: false,
};
const HAS_DISTANCES = ["boundary", "boundary_kervadec"]; // what anneal needs

/** Whether the loss takes the square of softmax: that of the Hausdorff map does (Prop. 3). */
function isSquared({ base, square }) {
  return base === "hausdorff" && square;
}

/** A base with the arguments that it takes. */
function baseOf({ base, width, alpha, w0, sigma, inside, outside }) {
  const withArguments = {
    edge_emphasis: { edge_emphasis: width },
    hausdorff: { hausdorff: alpha },
    border_between_instances: { border_between_instances: { w0, sigma } },
    constant: { constant: { alpha: inside, beta: -outside } },
  };
  return withArguments[base] ?? base;
}

/**
 * The composition of the settings: base, anneal, power, clip, normalise, class_weights, mix, rectify, what
 * changes nothing left out.
 */
function partsOf(settings, classes) {
  const { base } = settings;
  const parts = [baseOf(settings)];
  if (HAS_DISTANCES.includes(base) && settings.anneal > 0) parts.push({ anneal: settings.anneal });
  if (!isSquared(settings)) {
    const weights = settings.weights.slice(0, classes);
    if (settings.power !== 1) parts.push({ power: settings.power });
    if (settings.clip > 0) parts.push({ clip: settings.clip });
    if (settings.normalise !== "none") parts.push({ normalise: settings.normalise });
    if (weights.some((weight) => weight !== 1)) parts.push({ class_weights: weights });
    if (settings.mix !== "none") {
      parts.push({ mix: { map: [baseOf({ ...settings, base: settings.mix })], weight: settings.share } });
    }
  }
  if (settings.rectify) parts.push("rectify");
  return parts;
}

const CACHED = ["boundary", "rrw"]; // by default made of the whole volume, as no page can

/** The settings as a training takes them, by which its map is that of the page. */
function overridesOf(settings, { classes, spacing }) {
  const where = CACHED.includes(settings.base) ? " map.source=online" : "";
  const unit = spacing.every((step) => step === 1) ? "" : ` 'loss.spacing=[${spacing.join(", ")}]'`;
  if (isSquared(settings)) {
    const rectify = settings.rectify ? " loss.rectify=true" : "";
    return `loss=rw_hausdorff loss.alpha=${settings.alpha}${rectify}${unit}`;
  }
  const plain = (value) => {
    if (Array.isArray(value)) return `[${value.map(plain).join(", ")}]`;
    if (typeof value !== "object") return String(value);
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}: ${plain(item)}`)
      .join(", ")}}`;
  };
  return `loss=rw 'loss.map=${plain(partsOf(settings, classes))}'${where}${unit}`;
}
