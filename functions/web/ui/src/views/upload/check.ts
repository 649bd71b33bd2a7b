// What can be known about a file before a byte of it is sent.
import { bytes } from '../../lib/format.js';

export interface Look {
  /** Seconds and pixels, where this browser can read the file. */
  duration?: number;
  width?: number;
  height?: number;
  /** Why it is not even sent. */
  refusal?: string;
}

/** The server measures more exactly; what is just over is left to it. */
const GRACE_S = 0.5;

function told(name: string, otherwise: number): number {
  const content = document.querySelector<HTMLMetaElement>(`meta[name="toktik:${name}"]`)?.content;
  const value = Number(content);
  return content && Number.isFinite(value) && value >= 0 ? value : otherwise;
}

const maxDuration = (): number => told('max-duration', 60);
const maxBytes = (): number => told('max-upload-bytes', 1_073_741_824);

function refusedUnread(file: File): string | undefined {
  if (file.size === 0) return 'This file is empty: there is nothing in it to play.';
  if (file.size > maxBytes()) return `This file has ${bytes(file.size)}; at most ${bytes(maxBytes())} can be uploaded.`;
  if (file.type.startsWith('audio/')) return 'This is a sound file. A clip needs a picture, too.';
  if (file.type.startsWith('image/') && file.type !== 'image/gif') return 'This is a still picture. A clip has to move.';
  return undefined;
}

/** Reads a file's head in a video element. Nothing is known of what this browser cannot play. */
function measured(address: string): Promise<Look> {
  return new Promise((resolve) => {
    const video = document.createElement('video');
    const done = (look: Look): void => {
      clearTimeout(patience);
      video.removeAttribute('src');
      video.load();
      resolve(look);
    };
    const patience = setTimeout(() => done({}), 5_000);
    video.preload = 'metadata';
    video.muted = true;
    video.onerror = () => done({});
    video.onloadedmetadata = () => {
      const { duration, videoWidth: width, videoHeight: height } = video;
      done({ width, height, ...(Number.isFinite(duration) && { duration }) });
    };
    video.src = address;
  });
}

export async function look(file: File, address: string): Promise<Look> {
  const refusal = refusedUnread(file);
  if (refusal) return { refusal };
  const found = await measured(address);
  const limit = maxDuration();
  if (limit > 0 && found.duration !== undefined && found.duration > limit + GRACE_S) {
    const seconds = found.duration.toFixed(1);
    return { ...found, refusal: `This clip is ${seconds} s long; at most ${limit} s can be uploaded.` };
  }
  return found;
}

/** What the server takes as a content type; it looks at the bytes anyway. */
export const contentType = (file: File): string => (/^video\/[\w.+-]+$/.test(file.type) ? file.type : 'application/octet-stream');

/** A first title from what the file is called. */
export function titleOf(name: string): string {
  const words = name.replace(/\.[^.]*$/, '').replace(/[_\s]+/g, ' ').replace(/[\x00-\x1f\x7f-\x9f]/g, '').trim();
  return words.slice(0, 100).trim() || 'Untitled';
}
