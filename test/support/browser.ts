/** A real Chromium for tests of the web interface: strict about what its console says and about who can use the pages. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { ROOT } from './lab-cluster.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const PICTURES = join(ROOT, 'docs', 'pictures')
/** Nothing of the browser's own reaches out, and no part of it needs rights that a test machine lacks. */
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync', '--force-color-profile=srgb'],
]
const OWN = /^(http:\/\/127\.0\.0\.1:|data:|blob:)/
const ANSWER_MS_MAX = 15_000

interface BrowserOptions {
  readonly token?: string
  /** What servers elsewhere may be asked for, whoever has signed their certificates. */
  readonly elsewhere?: RegExp
  readonly proxy?: string
}

/**
 * What fades in or out has colors that are nobody's design; what turns for ever is not waited for. A transition begins with
 * the frame after the one that asks for it.
 */
const STANDS_STILL = `(async () => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
  for (const _ of [1, 2]) await frame()
  const moving = document.getAnimations().filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity)
  const still = Promise.allSettled(moving.map(({ finished }) => finished))
  await Promise.race([still, new Promise((resolve) => setTimeout(resolve, 2_000))])
  await frame()
})()`

export class TestBrowser {
  readonly page: Page
  readonly #browser: Browser
  readonly #context: BrowserContext
  readonly #complaints: string[] = []
  #expected: RegExp | undefined

  private constructor(browser: Browser, context: BrowserContext, page: Page, elsewhere?: RegExp) {
    this.#browser = browser
    this.#context = context
    this.page = page
    page.on('pageerror', (error) => this.#complaints.push(error.message))
    page.on('console', (message) => {
      const text = message.text()
      if (['error', 'warning'].includes(message.type()) && !this.#expected?.test(text)) this.#complaints.push(text)
    })
    page.on('request', (request) => {
      if (!OWN.test(request.url()) && !elsewhere?.test(request.url())) this.#complaints.push(`asks ${request.url()}`)
    })
  }

  /** `url`: where the interface is; every address is below it. */
  static async open(url: string, { token, elsewhere, proxy }: BrowserOptions = {}): Promise<TestBrowser> {
    const browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: FLAGS,
      ...(proxy === undefined ? {} : { proxy: { server: proxy } }),
    })
    const context = await browser.newContext({
      baseURL: url,
      viewport: { width: 1360, height: 850 },
      locale: 'en',
      ignoreHTTPSErrors: elsewhere !== undefined,
      timezoneId: 'UTC',
      reducedMotion: 'reduce',
    })
    if (token !== undefined)
      await context.addInitScript((text) => sessionStorage.setItem('stead.token', String(text)), token)
    const page = await context.newPage()
    page.setDefaultTimeout(ANSWER_MS_MAX)
    return new TestBrowser(browser, context, page, elsewhere)
  }

  async close(): Promise<void> {
    await this.#context.close()
    await this.#browser.close()
  }

  async see(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor()
  }

  async press(name: string | RegExp): Promise<void> {
    await this.page
      .getByRole('button', { name, exact: typeof name === 'string' })
      .first()
      .click()
  }

  /** What the browser may complain of from now on: requests that fail because their host is dead. */
  expect(complaint: RegExp | undefined): void {
    this.#expected = complaint
  }

  /** Nothing on the page keeps anybody out (WCAG 2.2 AA), and the console has stayed silent. */
  async check(what: string): Promise<void> {
    await this.page.evaluate(STANDS_STILL)
    await this.page.evaluate(AXE)
    const found = await this.page.evaluate(async () => {
      type Axe = {
        run(
          options: object,
        ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>
      }
      const { axe } = globalThis as unknown as { axe: Axe }
      const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']
      const { violations } = await axe.run({ runOnly: { type: 'tag', values: tags } })
      return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`),
      )
    })
    assert.deepEqual(found, [], what)
    assert.deepEqual(this.#complaints, [], what)
  }

  /** With `STEAD_PICTURES` the picture is kept in docs/pictures; else it only has to be possible. */
  async picture(name: string): Promise<void> {
    const bytes = await this.page.screenshot({ animations: 'disabled', caret: 'hide' })
    assert.ok(bytes.length > 5_000, name)
    if (process.env['STEAD_PICTURES'] === undefined) return
    const file = join(PICTURES, `${name}.png`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, bytes)
  }
}
