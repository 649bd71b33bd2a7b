import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { compress } from './build/compress.js';
import { mediaChromeWithoutStyleElements } from './build/media-chrome.js';

// A running `toktik up`, for the development server: the API and the buckets are proxied to it.
const server = process.env['TOKTIK_SERVER'] ?? 'http://localhost:8080';

export default defineConfig({
  plugins: [svelte(), mediaChromeWithoutStyleElements(), compress()],
  build: {
    target: 'es2022',
    // Data URLs are kept out so that the policy need not allow them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ['index.html', 'embed.html'] },
    // hls.js is most of it, and comes when there is something to play.
    chunkSizeWarningLimit: 600,
  },
  // The page's Host goes along: URLs of the store are signed for it.
  server: { proxy: { '^/(api/|toktik/|openapi.json|docs|oembed)': { target: server, changeOrigin: false } } },
});
