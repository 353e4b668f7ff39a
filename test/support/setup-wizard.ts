/** The page on which a host of no cluster is set up, as somebody uses it. */
import assert from 'node:assert/strict'
import type { Page } from 'playwright-core'
import type { TestBrowser } from './browser.ts'

/** Most of it is the measuring before, and the agent's start. */
const SET_UP_MS_MAX = 180_000
const LOOKS_MAX = 30

export class SetupWizard {
  readonly #browser: TestBrowser

  constructor(browser: TestBrowser) {
    this.#browser = browser
  }

  get page(): Page {
    return this.#browser.page
  }

  see(text: string): Promise<void> {
    return this.#browser.see(text)
  }

  check(what: string): Promise<void> {
    return this.#browser.check(what)
  }

  fill(label: string, text: string): Promise<void> {
    return this.page.getByLabel(label, { exact: true }).fill(text)
  }

  async choose(label: string, option: RegExp): Promise<void> {
    await this.page.getByRole('combobox', { name: label }).click()
    await this.page.getByRole('option', { name: option }).click()
  }

  /** Its addresses, by role. */
  async networks(addresses: Readonly<Record<string, string>>): Promise<void> {
    for (const [role, address] of Object.entries(addresses))
      await this.choose(role.toUpperCase(), new RegExp(`^${RegExp.escape(address)} `))
  }

  next(): Promise<void> {
    return this.page.getByRole('button', { name: 'Next' }).click()
  }

  /** The summary, once all was looked at. A cluster that has just begun may not open its door to others yet. */
  async summary(text: string): Promise<void> {
    const [told, refused] = [this.page.getByText(text), this.page.getByRole('alert')]
    await told.or(refused).waitFor()
    for (let look = 0; look < LOOKS_MAX && (await refused.isVisible()); look++) {
      await this.page.getByRole('button', { name: 'Look again' }).click()
      await told.or(refused).waitFor()
    }
    await told.waitFor()
  }

  /** What was looked at, by the checks' ids: 'fine', 'warning' or 'failed'. */
  async checks(): Promise<ReadonlyMap<string, string>> {
    const states = new Map<string, string>()
    for (const check of await this.page.locator('[data-check]').all())
      states.set((await check.getAttribute('data-check')) ?? '', await check.locator('span').first().innerText())
    return states
  }

  /** Confirms the summary, and waits until all is done. `despite`: the checks that may have failed. */
  async begin(despite: readonly string[] = []): Promise<void> {
    for (const [id, state] of await this.checks()) {
      if (state.toLowerCase() !== 'failed') continue
      assert.ok(despite.includes(id), `${id} has failed`)
      await this.page.locator(`[data-check="${id}"]`).getByRole('checkbox').check()
    }
    // Once the host is set up it serves this page no more.
    this.#browser.expect(/Failed to load resource|ERR_/)
    await this.page.getByRole('button', { name: 'Set this host up' }).click()
    await this.page.getByRole('heading', { name: 'This host is set up' }).waitFor({ timeout: SET_UP_MS_MAX })
  }

  /** What is told once. */
  secret(name: string): Promise<string> {
    return this.page.getByRole('group', { name }).locator('code').innerText()
  }

  /** At the cluster's own page, by a password that works once. */
  async signIn(user: string, oneTime: string, password: string): Promise<void> {
    await this.fill('User', user)
    await this.fill('Password', oneTime)
    await this.page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await this.fill('New password', password)
    await this.fill('Once more', password)
    await this.page.getByRole('button', { name: 'Change the password' }).click()
    // Another page asked for before the answer has come would be one of nobody.
    await this.page.getByRole('navigation').first().waitFor()
  }
}
