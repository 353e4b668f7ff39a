/** The answer with which an OpenID realm has sent this browser back, if it has just done so. */

/** As `RETURN_PATH` of the agent. */
const RETURN_PATH = '/sign-in/realm'
/** What is for the command line begins so. */
const COMMAND_LINE_STATE = 'cli.'

export interface RealmAnswer {
  readonly query: string
  readonly isForCommandLine: boolean
}

/** It does not stay in the address. */
function taken(): RealmAnswer | undefined {
  const { pathname, search } = location
  if (pathname !== RETURN_PATH) return undefined
  history.replaceState(null, '', '/')
  const state = new URLSearchParams(search).get('state') ?? ''
  return { query: search.replace(/^\?/, ''), isForCommandLine: state.startsWith(COMMAND_LINE_STATE) }
}

let kept = taken()

/** Until it has been used. */
export function realmAnswer(): RealmAnswer | undefined {
  return kept
}

/** It is good for one sign-in. */
export function spendRealmAnswer(): void {
  kept = undefined
}

/** What the command line asks for. */
export function codeOfAnswer({ query }: RealmAnswer): string {
  const text = btoa(query)
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
