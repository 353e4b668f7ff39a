/** How `./dev web build` makes the interface, and `./dev web` serves it while it is developed. */
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

// What the first page needs of each is one file: browsers ask an HTTP/1.1 server for six files at a time.
const FIRST = /[\\/]packages[\\/](api|core)[\\/]|[\\/]node_modules[\\/](zod|react|react-dom|scheduler)[\\/]/

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
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'base', test: FIRST }] } } },
  },
  server: { host: '127.0.0.1', strictPort: false },
  logLevel: 'warn' as const,
}))
