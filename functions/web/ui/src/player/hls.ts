// hls.js, loaded when there is something to play, and set up for short clips.
import type Hls from 'hls.js';
import type { HlsConfig, Level } from 'hls.js';

export type { Level };
export type HlsModule = typeof import('hls.js');

let loading: Promise<HlsModule> | undefined;

/** Fetches the player's engine; free to call early. */
export function loadHls(): Promise<HlsModule> {
  loading ??= import('hls.js');
  // A failed download may be tried again.
  loading.catch(() => (loading = undefined));
  return loading;
}

/** What the connection was last found to carry, so that the next clip begins at the right quality. */
let bitsPerSecond = 4_000_000;

/** Kept short for a clip that waits for its turn: playlists and the first segment. */
const WARM_SECONDS = 1;
const AHEAD_SECONDS = 24;
/** So often a player may pick itself up before it says that it cannot. */
const RECOVERIES = 4;

export interface StreamOptions {
  /** Waits for its turn; `wake` is called when it comes. */
  warm?: boolean;
  startAt?: number;
  levels?: (levels: Level[]) => void;
  failed?: (message: string) => void;
}

const LOST = 'The clip could not be loaded. Check the connection and try again.';
const UNPLAYABLE = 'This browser cannot play this clip.';

/** A clip's playlist in a video element. */
export class Stream {
  #hls: Hls | null = null;
  #closed = false;
  #recoveries = 0;

  constructor(
    readonly video: HTMLVideoElement,
    private options: StreamOptions,
  ) {}

  async open(url: string): Promise<void> {
    const { default: Engine, Events, ErrorTypes } = await loadHls();
    if (this.#closed) return;
    if (!Engine.isSupported()) return this.#openNatively(url);
    const hls = new Engine(this.#config());
    this.#hls = hls;
    hls.on(Events.MANIFEST_PARSED, () => this.options.levels?.(hls.levels));
    hls.on(Events.FRAG_LOADED, () => (bitsPerSecond = hls.bandwidthEstimate || bitsPerSecond));
    hls.on(Events.ERROR, (_, { fatal, type }) => {
      if (!fatal) return;
      this.#recoveries += 1;
      if (this.#recoveries > RECOVERIES) this.#fail(type === ErrorTypes.MEDIA_ERROR ? UNPLAYABLE : LOST);
      else if (type === ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else if (hls.levels.length === 0) this.#fail(LOST);
      else hls.startLoad();
    });
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  /** Its turn has come: it may load as far ahead as it likes. */
  wake(): void {
    if (this.#hls) this.#hls.config.maxBufferLength = AHEAD_SECONDS;
    this.options.warm = false;
  }

  /** The level to play, or -1 for whatever fits. */
  choose(level: number): void {
    if (this.#hls) this.#hls.nextLevel = level;
  }

  get levels(): Level[] {
    return this.#hls?.levels ?? [];
  }

  close(): void {
    this.#closed = true;
    this.#hls?.destroy();
    this.#hls = null;
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** Lets go of the engine only: another stream takes the same element over. */
  release(): void {
    this.#closed = true;
    this.#hls?.destroy();
    this.#hls = null;
  }

  #config(): Partial<HlsConfig> {
    return {
      // Segments are fMP4 already: there is little for a worker to do, and none has to be allowed.
      enableWorker: false,
      // A growing playlist would begin at its end otherwise.
      startPosition: this.options.startAt ?? 0,
      startFragPrefetch: true,
      testBandwidth: false,
      abrEwmaDefaultEstimate: bitsPerSecond,
      capLevelToPlayerSize: true,
      maxBufferLength: this.options.warm ? WARM_SECONDS : AHEAD_SECONDS,
      maxMaxBufferLength: 2 * AHEAD_SECONDS,
    };
  }

  #openNatively(url: string): void {
    if (!this.video.canPlayType('application/vnd.apple.mpegurl')) return this.#fail(UNPLAYABLE);
    this.video.src = url;
    this.video.addEventListener('error', () => this.#fail(LOST), { once: true });
  }

  #fail(message: string): void {
    this.#hls?.stopLoad();
    if (!this.#closed) this.options.failed?.(message);
  }
}
