// Shadow roots whose styles are adopted sheets instead of <style> elements: nothing inline, nothing for the policy to allow.

// What nested elements bring for declarative shadow roots; they fill their own when they are made.
const NESTED = /<template shadowrootmode[\s\S]*?<\/template>/g;
const STYLE = /<style([^>]*)>([\s\S]*?)<\/style>/g;
const MEDIA = /media="([^"]*)"/;

/** Fills a shadow root. Each has sheets of its own, since media-chrome writes rules into them. */
export function fillShadow(root: ShadowRoot, html: string): void {
  const sheets: CSSStyleSheet[] = [];
  const rest = html.replace(NESTED, '').replace(STYLE, (_, attributes: string, css: string) => {
    const media = MEDIA.exec(attributes)?.[1];
    const sheet = new CSSStyleSheet(media === undefined ? {} : { media });
    sheet.replaceSync(css);
    sheets.push(sheet);
    return '';
  });
  root.innerHTML = rest;
  root.adoptedStyleSheets = sheets;
}

/** The sheets that rules may be looked up in and added to, in the shape of <style> elements. */
export function sheetsOf(root: ParentNode): { sheet: CSSStyleSheet }[] {
  if (!(root instanceof ShadowRoot)) return [];
  return root.adoptedStyleSheets.filter((sheet) => sheet.media.length === 0).map((sheet) => ({ sheet }));
}
