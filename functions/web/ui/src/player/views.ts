// A view is counted when something was really watched: three seconds, or half of a clip that is shorter than six.

const ENOUGH_S = 3;

/** Calls `count` once, after enough of the clip has been played. */
export function watched(video: HTMLVideoElement, count: () => void): () => void {
  let seconds = 0;
  let last = 0;
  const look = (): void => {
    const step = video.currentTime - last;
    last = video.currentTime;
    // A jump is not watching.
    if (step > 0 && step < 1) seconds += step;
    if (seconds < Math.min(ENOUGH_S, (video.duration || ENOUGH_S) / 2)) return;
    video.removeEventListener('timeupdate', look);
    count();
  };
  video.addEventListener('timeupdate', look);
  return () => video.removeEventListener('timeupdate', look);
}
