/** How a console stands, as it is told to who looks at it. */
import type { Failure } from '@stead/core/errors.ts'

export type ConsoleState =
  | { readonly is: 'connecting' }
  | { readonly is: 'connected'; readonly host: string }
  /** It comes back by itself. */
  | { readonly is: 'waiting'; readonly reason: string }
  /** It does not come back by itself. */
  | { readonly is: 'failed'; readonly failure: Failure }
  | { readonly is: 'exited'; readonly code: number }
