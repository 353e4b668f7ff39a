import './app/mantine.css'
import './app/app.css'
import { createRoot } from 'react-dom/client'
import { z } from 'zod'
import { App } from './app/app.tsx'
import { pageNonce } from './app/nonce.ts'
import { startTexts } from './i18n/texts.ts'

// Otherwise zod tries whether it may make functions of text, which the Content-Security-Policy reports as an offence.
z.config({ jitless: true })

const nonce = pageNonce()

// The library that holds the page still behind a dialog writes a style element, and looks for its nonce here.
Object.assign(globalThis, { __webpack_nonce__: nonce })

await startTexts()
createRoot(document.getElementById('root') as HTMLElement).render(<App nonce={nonce} />)
