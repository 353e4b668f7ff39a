import { createContext, useContext } from 'react'
import type { Session } from './session.ts'

interface Kept {
  readonly session: Session
  readonly replace: (session: Session) => void
}

export const SessionContext = createContext<Kept | undefined>(undefined)

export function useSession(): Session {
  return useKept().session
}

/** By the one that has begun instead of it. */
export function useReplaceSession(): (session: Session) => void {
  return useKept().replace
}

function useKept(): Kept {
  const kept = useContext(SessionContext)
  if (!kept) throw new Error('there is no session here')
  return kept
}
