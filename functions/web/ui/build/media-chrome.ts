// media-chrome writes <style> elements into its shadow roots, which `style-src 'self'` forbids. While bundling, each place
// that fills a shadow root is made to put its styles into adopted style sheets instead (src/player/shadow.ts), and each that
// looks a style sheet up is made to find them there. The build fails when a new version has other places.
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const SHADOW = fileURLToPath(new URL('../src/player/shadow.ts', import.meta.url));

const REPLACEMENTS: [RegExp, string][] = [
  [
    /this\.shadowRoot\.setHTMLUnsafe \? this\.shadowRoot\.setHTMLUnsafe\(html\) : this\.shadowRoot\.innerHTML = html;/g,
    'fillShadow(this.shadowRoot, html);',
  ],
  [
    /this\.shadowRoot\.innerHTML = this\.constructor\.getTemplateHTML\(attrs\);/g,
    'fillShadow(this.shadowRoot, this.constructor.getTemplateHTML(attrs));',
  ],
  // The menu's row layout, which we do not use.
  [/layoutRowStyle\.setAttribute\(/g, 'layoutRowStyle?.setAttribute('],
  [/styleParent\.querySelectorAll\("style:not\(\[media\]\)"\)/g, 'sheetsOf(styleParent)'],
];

export function mediaChromeWithoutStyleElements(): Plugin {
  return {
    name: 'media-chrome-without-style-elements',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('/media-chrome/dist/')) return null;
      let changed = code;
      for (const [place, instead] of REPLACEMENTS) changed = changed.replace(place, instead);
      if (/shadowRoot\.(innerHTML =|setHTMLUnsafe\()|querySelectorAll\("style/.test(changed)) {
        this.error(`${id} fills or reads a shadow root in a way that build/media-chrome.ts does not know`);
      }
      if (changed === code) return null;
      return { code: `import { fillShadow, sheetsOf } from ${JSON.stringify(SHADOW)};\n${changed}`, map: null };
    },
  };
}
