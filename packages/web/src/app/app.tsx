/** The whole: theme, session, live store, pages. */
import { Loader, MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useText } from '../i18n/texts.ts'
import { followCluster } from '../live/live-source.ts'
import { LiveStore } from '../live/live-store.ts'
import { LiveContext } from '../live/use-live.ts'
import { SessionContext } from '../session/session-context.ts'
import { isSignInNeeded, resumeSession, type Session } from '../session/session.ts'
import type { Failure } from '@stead/core/errors.ts'
import classes from './app.module.css'
import { router } from './router.tsx'
import { theme } from './theme.ts'

// What is asked for once in a while; the live store holds the rest.
const queries = new QueryClient({ defaultOptions: { queries: { retry: false, refetchOnWindowFocus: false } } })
const store = new LiveStore()

const SignInPage = lazy(async () => ({ default: (await import('../session/sign-in-page.tsx')).SignInPage }))

const RETRY_MS = 2_000

export function App({ nonce }: { nonce: string }) {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queries}>
        <Signed />
      </QueryClientProvider>
    </MantineProvider>
  )
}

function Signed() {
  const t = useText()
  const [session, setSession] = useState<Session>()
  const [failure, setFailure] = useState<Failure>()
  useEffect(() => {
    if (session) return
    let ended = false
    const resume = async () => {
      while (!ended) {
        const resumed = await resumeSession()
        if (ended) return
        if (resumed.ok) return setSession(resumed.value)
        setFailure(resumed.error)
        if (isSignInNeeded(resumed.error)) return
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
    void resume()
    return () => {
      ended = true
    }
  }, [session])
  useEffect(() => {
    if (!session) return
    const source = followCluster(session.client, store)
    return () => source.stop()
  }, [session])
  if (session) {
    return (
      <SessionContext.Provider value={session}>
        <LiveContext.Provider value={store}>
          <RouterProvider router={router} />
        </LiveContext.Provider>
      </SessionContext.Provider>
    )
  }
  if (failure && isSignInNeeded(failure)) {
    return (
      <Suspense>
        <SignInPage onSignIn={setSession} />
      </Suspense>
    )
  }
  return (
    <main className={classes.waiting} role="status">
      <Loader size="sm" />
      <span>{failure ? failure.message : t('word.loading')}</span>
    </main>
  )
}
