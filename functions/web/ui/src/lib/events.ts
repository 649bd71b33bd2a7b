// What the server tells while it happens (functions/notify): one stream for the whole page, opened while somebody listens.
import type { Counts, Status, Trouble } from './api.js';
import { session } from './session.svelte.js';

export interface Step {
  name: string;
  unit?: string;
  state: 'pending' | 'running' | 'done' | 'failed';
}

/** How one of one's own clips is doing. */
export interface ClipNews {
  id: string;
  status: Status;
  progress: number;
  steps: Step[];
  error?: Trouble;
}

export type CountsNews = Counts & { id: string };
export type StatusNews = { id: string; status: Status };

export interface Listener {
  /** The clip in view, if there is one. */
  video?: string;
  /** Own clips. */
  clip?: (news: ClipNews) => void;
  counts?: (news: CountsNews) => void;
  status?: (news: StatusNews) => void;
}

const listeners = new Set<Listener>();
let source: EventSource | null = null;
let open = '';
let scheduled = false;

/** Hears until the returned function is called. The listener that came last says which clip is in view. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  schedule();
  return () => {
    listeners.delete(listener);
    schedule();
  };
}

/** Listeners often change in pairs: one look at the end of the turn. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    adjust();
  });
}

function wanted(): string {
  const all = [...listeners];
  const video = all.findLast((listener) => listener.video)?.video;
  if (video) return `/api/v1/events?video=${encodeURIComponent(video)}`;
  return all.some((listener) => listener.clip) && session.signedIn ? '/api/v1/events' : '';
}

function adjust(): void {
  const address = wanted();
  if (address === open && source?.readyState !== EventSource.CLOSED) return;
  source?.close();
  open = address;
  source = address ? connect(address) : null;
}

function connect(address: string): EventSource {
  const stream = new EventSource(address);
  stream.addEventListener('clip', (event) => tell('clip', event));
  stream.addEventListener('counts', (event) => tell('counts', event));
  stream.addEventListener('status', (event) => tell('status', event));
  return stream;
}

function tell(kind: 'clip' | 'counts' | 'status', event: MessageEvent<string>): void {
  const news = JSON.parse(event.data) as ClipNews & CountsNews & StatusNews;
  for (const listener of listeners) listener[kind]?.(news);
}

// A page that is put aside lets go of its connection, and takes it up again when it comes back.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') adjust();
});
addEventListener('pagehide', () => {
  source?.close();
});
