// The choices of a family, a tick each: taking one away writes an override into the spec.
import { at, isGroup, put, remove } from "./spec_form.js";

const families = new Map();

async function familyOf(name) {
  if (!families.has(name)) {
    const answer = await fetch(`/api/v1/families/${encodeURIComponent(name)}`);
    if (!answer.ok) return null;
    families.set(name, await answer.json());
  }
  return families.get(name);
}

export function familyName(spec) {
  const space = spec.space ?? "multi_scale";
  return typeof space === "string" ? space : (space?.family ?? "");
}

export function overrideOf(spec) {
  return isGroup(spec.space) && isGroup(spec.space.override) ? spec.space.override : {};
}

function setOverride(spec, override) {
  const family = familyName(spec);
  spec.space = Object.keys(override).length ? { family, override } : family;
}

// These hold no choices, but what choices refer to.
const REFERRED = ["layouts", "tied", "forbid"];

function leavesOf(space, path = "") {
  return Object.entries(space).flatMap(([key, value]) => {
    const below = path ? `${path}.${key}` : key;
    if (REFERRED.includes(below)) return [];
    return isGroup(value) ? leavesOf(value, below) : [[below, value]];
  });
}

const isPlain = (value) => Array.isArray(value) && value.every((item) => item === null || typeof item !== "object");

// Draws the choices; `changed` is called after each tick. Nothing is drawn for a space that is no family's.
export async function showRanges(place, said, spec, changed) {
  const name = familyName(spec), family = name && await familyOf(name);
  if (name !== familyName(spec)) return;
  const count = Object.keys(overrideOf(spec)).length;
  said.textContent = !name ? " · in the YAML" : count ? " · narrowed" : "";
  if (!family) {
    place.textContent = name ? "There is no such family." : "This space is no family's: its fields stand in the YAML beside the form.";
    return;
  }
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...leavesOf(family.space).map(([path, value]) => rowOf(path, value, spec, changed)));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function rowOf(path, value, spec, changed) {
  const row = document.createElement("div"), label = document.createElement("code");
  row.className = "range";
  row.setAttribute("role", "group");
  label.id = `range-${path}`;
  label.textContent = path;
  row.setAttribute("aria-labelledby", label.id);
  const own = at(overrideOf(spec), path);
  row.append(label, ...(isPlain(value) ? chipsOf(path, value, own, spec, changed) : [fixed(own ?? value)]));
  return row;
}

function fixed(value) {
  const text = document.createElement("span");
  text.className = "muted";
  const isLong = isGroup(value) || (Array.isArray(value) && !isPlain(value));
  text.textContent = isLong ? `${[value].flat().length} entries, changed in the YAML` : isPlain(value) ? value.join(", ") : String(value);
  return text;
}

function chipsOf(path, choices, own, spec, changed) {
  const chosen = own === undefined ? choices : [own].flat();
  // An override may name what the family itself does not offer.
  return [...new Set([...choices, ...chosen])].map((choice, place) => {
    const label = document.createElement("label"), box = document.createElement("input");
    label.className = "chip";
    box.type = "checkbox";
    box.id = `range-${path}-${place}`;
    box.checked = chosen.includes(choice);
    box.addEventListener("change", () => {
      const kept = [...new Set([...choices, ...chosen])].filter((item) => (item === choice ? box.checked : chosen.includes(item)));
      const override = structuredClone(overrideOf(spec));
      if (kept.length === choices.length && kept.every((item, index) => item === choices[index])) remove(override, path);
      else put(override, path, kept);
      setOverride(spec, override);
      changed();
    });
    label.append(box, ` ${choice}`);
    return label;
  });
}
