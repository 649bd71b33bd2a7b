// Light, dark, or as the system has it.

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'toktik.theme';

function stored(): Theme {
  const text = localStorage.getItem(KEY);
  return text === 'light' || text === 'dark' ? text : 'system';
}

class Choice {
  theme = $state<Theme>(stored());

  constructor() {
    this.#show();
  }

  choose(theme: Theme): void {
    this.theme = theme;
    if (theme === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
    this.#show();
  }

  #show(): void {
    if (this.theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.theme;
  }
}

export const choice = new Choice();
