// Handing an address on: by the system's own sheet where there is one, else by the clipboard.
import { toasts } from './toasts.svelte.js';

export async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.say(said);
  } catch {
    toasts.say(`Copying is not allowed here. The address is ${text}`);
  }
}

export async function share(title: string, url: string): Promise<void> {
  const touch = matchMedia('(pointer: coarse)').matches;
  if (!touch || !('share' in navigator)) return copy(url, 'The link is copied.');
  // Putting the sheet away is no failure.
  await navigator.share({ title, url }).catch(() => undefined);
}
