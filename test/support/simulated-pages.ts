/** What suites about the web interface begin with: a simulated cluster with the shown guests, and a browser before it. */
import { after, before } from 'node:test'
import {
  addShownGuests,
  startSimulatedCluster,
  type SimulatedCluster,
} from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { TestBrowser } from './browser.ts'

/** The cluster's own token, by which a program is let in. */
export const TOKEN = 'test-token'

export interface SimulatedPages {
  readonly cluster: SimulatedCluster
  readonly browser: TestBrowser
  /** What ends with the suite, the newest first. */
  readonly context: { after(end: () => void | Promise<void>): void }
}

/** Before the suite's tests, and gone after them. `isSignedIn`: by the cluster's own token, else nobody is. */
export function simulatedPages(
  { isSignedIn }: { readonly isSignedIn: boolean },
  take: (pages: SimulatedPages) => void | Promise<void>,
): void {
  const ends: (() => void | Promise<void>)[] = []
  before(async () => {
    const context = { after: (end: () => void | Promise<void>) => void ends.push(end) }
    const cluster = await startSimulatedCluster(context, { token: TOKEN, web: webFiles() })
    await addShownGuests(cluster)
    const browser = await TestBrowser.open(cluster.url, isSignedIn ? { token: TOKEN } : {})
    context.after(() => browser.close())
    await take({ cluster, browser, context })
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })
}
