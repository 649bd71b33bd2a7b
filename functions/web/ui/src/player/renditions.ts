// The qualities of a clip in the shape that media-chrome's menu reads from a video element: a list of renditions with
// events and a selected index, -1 being automatic.
import type { Level } from './hls.js';

interface Rendition {
  id: string;
  src: string;
  width: number;
  height: number;
  bitrate: number;
}

export class Renditions extends EventTarget implements Iterable<Rendition> {
  [index: number]: Rendition;
  #list: Rendition[] = [];
  #selected = -1;

  /** @param chosen is told what the viewer picks. */
  constructor(private chosen: (index: number) => void) {
    super();
  }

  get length(): number {
    return this.#list.length;
  }

  [Symbol.iterator](): Iterator<Rendition> {
    return this.#list.values();
  }

  get selectedIndex(): number {
    return this.#selected;
  }

  set selectedIndex(index: number) {
    if (index === this.#selected) return;
    this.#selected = index;
    this.chosen(index);
    this.dispatchEvent(new Event('change'));
  }

  /** Takes a clip's levels; a choice made before is kept if there still is such a quality. */
  take(levels: Level[]): void {
    const before = this.#list[this.#selected]?.height;
    for (const index of this.#list.keys()) delete this[index];
    this.#list = levels.map(({ width, height, bitrate }, index) => ({ id: String(index), src: '', width, height, bitrate }));
    this.#list.forEach((rendition, index) => (this[index] = rendition));
    this.#selected = before === undefined ? -1 : this.#list.findIndex(({ height }) => height === before);
    if (this.#selected >= 0) this.chosen(this.#selected);
    this.dispatchEvent(new Event('addrendition'));
    this.dispatchEvent(new Event('change'));
  }
}
