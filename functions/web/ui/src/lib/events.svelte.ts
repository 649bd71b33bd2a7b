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
/** Since a stream was last heard. */
let refusals = 0;
/** Until a stream that was refused is asked for again, unless it was for the session. */
const AGAIN_MS = 30_000;

/** Hears until the returned function is called. The listener that came last says which clip is in view. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  schedule();
  return () => {
    listeners.delete(listener);
    schedule();
  };
}

/** Listeners often change in pairs: one look at the end of the turn. A stream is asked for with cookies that hold. */
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() =>
    session.keepFresh().finally(() => {
      scheduled = false;
      adjust();
    }),
  );
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
  stream.addEventListener('open', () => (refusals = 0));
  stream.addEventListener('error', () => {
    // The browser comes back to a stream that ended, and never to one that was refused.
    if (stream === source && stream.readyState === EventSource.CLOSED) refused();
  });
  stream.addEventListener('clip', (event) => tell('clip', event));
  stream.addEventListener('counts', (event) => tell('counts', event));
  stream.addEventListener('status', (event) => tell('status', event));
  return stream;
}

/** The cookies may have run out earlier than we thought, as they do where a machine slept or its clock was wrong. */
function refused(): void {
  refusals += 1;
  if (refusals === 1 && session.signedIn) void session.renew().then(schedule);
  else setTimeout(schedule, AGAIN_MS);
}

function tell(kind: 'clip' | 'counts' | 'status', event: MessageEvent<string>): void {
  const news = JSON.parse(event.data) as ClipNews & CountsNews & StatusNews;
  for (const listener of listeners) listener[kind]?.(news);
}

// A stream is of who was signed in when it began. Who signs out hears no more of their clips, in no tab.
$effect.root(() => {
  $effect(() => {
    void session.signedIn;
    source?.close();
    schedule();
  });
});

// A page that is put aside lets go of its connection, and takes it up again when it comes back.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') schedule();
});
addEventListener('pagehide', () => {
  source?.close();
});
