/** How `./dev web build` makes the interface, and `./dev web` serves it while it is developed. */
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

/**
 * What the first page needs is two files, the libraries and its own: browsers ask an HTTP/1.1 server for six files at a
 * time, and one large file packs better than seventy small ones (277 kB in place of 299). What later pages alone need
 * comes with them, also of the API's contract.
 */
const FIRST_FILES = [
  { name: 'libraries', test: /[\\/]node_modules[\\/]/, tags: ['$initial' as const] },
  { name: 'first', tags: ['$initial' as const] },
]

const DESCRIPTION = /\.describe\(\s*(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`[^`$]*`),?\s*\)/g

/** What the contract says of its fields is for the reference and the command line: 11 of the 300 kB of the first load. */
function withoutDescriptions(): Plugin {
  return {
    name: 'without-descriptions',
    apply: 'build',
    enforce: 'post',
    transform: (code, id) => (/[\\/]packages[\\/]api[\\/]/.test(id) ? code.replace(DESCRIPTION, '') : undefined),
  }
}

export default defineConfig(({ command }) => ({
  root: import.meta.dirname,
  plugins: [withoutDescriptions(), react()],
  // An agent puts a fresh one into each answer; see packages/agent/src/http/web-files.ts.
  ...(command === 'build' ? { html: { cspNonce: 'STEAD-NONCE' } } : {}),
  build: {
    outDir: 'dist',
    target: 'es2023',
    // A style in the page itself would need a nonce, an image in it a longer policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: { codeSplitting: { groups: FIRST_FILES } },
      // Cards of hosts and the frame's texts are on the first page and in lazily loaded ones.
      checks: { ineffectiveDynamicImport: false },
    },
    // The libraries, unpacked.
    chunkSizeWarningLimit: 700,
  },
  server: { host: '127.0.0.1', strictPort: false },
  logLevel: 'warn' as const,
}))
