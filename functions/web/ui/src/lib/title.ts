// What the tab is called.

export const setTitle = (text: string): void => {
  document.title = text ? `${text} · Toktik` : 'Toktik';
};
