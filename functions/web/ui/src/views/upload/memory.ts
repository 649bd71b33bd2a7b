// Uploads that are under way, in IndexedDB: what was asked of the server and, unless it is huge, the file itself, so that
// a reload goes on where it was. A file that was not kept is asked for again.
import type { NewClip } from '../../lib/api.js';

export interface Remembered {
  /** The Idempotency-Key of the request, too: asking again finds the same clip. */
  key: string;
  user: string;
  request: NewClip;
  lastModified: number;
  file?: File;
}

const STORE = 'uploads';
/** Browsers give a page some share of the disk; nobody's should be filled by copies. */
const KEEP_BYTES = 512 * 1024 * 1024;

let opened: Promise<IDBDatabase> | undefined;

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('toktik', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'key' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function within<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return settled(work((await database()).transaction(STORE, mode).objectStore(STORE)));
}

/** Without a database (private windows, full disks) uploads work all the same; they only do not outlive a reload. */
export async function keep(entry: Remembered): Promise<void> {
  const { file, ...light } = entry;
  try {
    await within('readwrite', (store) => store.put(file && file.size <= KEEP_BYTES ? entry : light));
  } catch {
    await within('readwrite', (store) => store.put(light)).catch(() => undefined);
  }
}

export const drop = (key: string): Promise<unknown> => within('readwrite', (store) => store.delete(key)).catch(() => undefined);

export async function kept(user: string): Promise<Remembered[]> {
  try {
    const all = (await within('readonly', (store) => store.getAll())) as Remembered[];
    return all.filter((entry) => entry.user === user);
  } catch {
    return [];
  }
}
