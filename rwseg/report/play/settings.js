"use strict";

// What the controls say of the map, as the list that `loss.map` is.

const PLAIN_MAP = {
  base: "boundary",
  anneal: 0,
  width: 3,
  alpha: 2,
  square: true,
  power: 1,
  normalise: "none",
  weights: [1, 1, 1, 1],
  rectify: false,
};
const HAS_DISTANCES = ["boundary", "boundary_kervadec"]; // what anneal needs

/** Whether the loss takes the square of softmax: that of the Hausdorff map does (Prop. 3). */
function isSquared({ base, square }) {
  return base === "hausdorff" && square;
}

/**
 * The composition of the settings: base, anneal, power, normalise, class_weights, rectify, what changes
 * nothing left out.
 */
function partsOf(settings, classes) {
  const { base } = settings;
  const parts = [
    { edge_emphasis: { edge_emphasis: settings.width }, hausdorff: { hausdorff: settings.alpha } }[base] ??
      base,
  ];
  if (HAS_DISTANCES.includes(base) && settings.anneal > 0) parts.push({ anneal: settings.anneal });
  if (!isSquared(settings)) {
    const weights = settings.weights.slice(0, classes);
    if (settings.power !== 1) parts.push({ power: settings.power });
    if (settings.normalise !== "none") parts.push({ normalise: settings.normalise });
    if (weights.some((weight) => weight !== 1)) parts.push({ class_weights: weights });
  }
  if (settings.rectify) parts.push("rectify");
  return parts;
}

/** The settings as a training takes them. */
function overridesOf(settings, classes) {
  if (isSquared(settings)) {
    return `loss=rw_hausdorff loss.alpha=${settings.alpha}${settings.rectify ? " loss.rectify=true" : ""}`;
  }
  const plain = (value) => {
    if (Array.isArray(value)) return `[${value.map(plain).join(", ")}]`;
    if (typeof value !== "object") return String(value);
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}: ${plain(item)}`)
      .join(", ")}}`;
  };
  return `loss=rw 'loss.map=${plain(partsOf(settings, classes))}'`;
}
