// Feeds begin muted, as browsers want it; who unmutes once has sound from then on.

const KEY = 'toktik.sound';

class Sound {
  on = $state(sessionStorage.getItem(KEY) === 'on');

  set(on: boolean): void {
    this.on = on;
    sessionStorage.setItem(KEY, on ? 'on' : 'off');
  }
}

export const sound = new Sound();
