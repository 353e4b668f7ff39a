/**
 * The web interface as the agents of a real cluster serve it, through the lab's door on loopback: a machine is made of an
 * image in the page, typed into, moved, and comes back when its host loses its power. Who has few rights comes over the LAN.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Page } from 'playwright-core'
import { bootableGuest } from './support/bootable-guest.ts'
import { TestBrowser } from './support/browser.ts'
import { LabCluster } from './support/lab-cluster.ts'
import { openLanProxy, type LanProxy } from './support/lan-proxy.ts'

const STEP_MS_MAX = 90_000
const PASSWORD = 'correct horse battery'

suite('the web interface of a real cluster', { timeout: 600_000 }, () => {
  let lab: LabCluster
  let browser: TestBrowser
  let proxy: LanProxy | undefined
  const folder = mkdtempSync(join(tmpdir(), 'stead-web-'))

  before(async () => {
    lab = await LabCluster.up()
    await lab.createIdle('web1', { host: 'h1' })
    await lab.importRecorderTemplate()
    await lab.createContainer('box')
    const { url } = await lab.json<{ url: string }>('lab', 'status')
    browser = await TestBrowser.open(url)
    browser.page.setDefaultTimeout(STEP_MS_MAX)
    // A host that is suspected for a moment, or dead: what the page says of it is looked at, not the broken requests.
    browser.expect(/Failed to load resource|ERR_|WebSocket connection/)
  })
  after(async () => {
    // What failed before it was opened must not leave the lab behind.
    await browser?.close()
    proxy?.close()
    await lab.down()
    rmSync(folder, { recursive: true })
  })

  const main = () => browser.page.getByRole('main')
  const dialog = () => browser.page.getByRole('dialog')
  const confirm = (name: string) => dialog().getByRole('button', { name, exact: true }).click()
  const row = (text: string) => browser.page.getByRole('row').filter({ hasText: text })
  const choose = async (label: string, option: string) => {
    await browser.page.getByLabel(label, { exact: true }).first().click()
    await browser.page.getByRole('option', { name: option, exact: true }).click()
  }
  const terminal = (page: Page) => page.locator('.xterm-rows')
  const connectedTo = (page: Page, host = '') =>
    page
      .getByRole('status')
      .filter({ hasText: `Connected; it runs on ${host}` })
      .waitFor()
  const type = async (page: Page, text: string) => {
    await page.keyboard.type(text, { delay: 30 })
    await page.keyboard.press('Enter')
  }
  /** What is typed while a console waits is not sent, and a shell that was lost (its host was too slow) is opened anew. */
  const typesUntil = async (page: Page, text: string, isDone: () => Promise<boolean>) => {
    const another = page.getByRole('button', { name: 'Open another shell' })
    await lab.until(
      `what was typed is done: ${text}`,
      async () => {
        if (await isDone()) return true
        if (await another.isVisible()) await another.click()
        await page.locator('.xterm').click()
        await type(page, text)
        for (let look = 0; look < 10 && !(await isDone()); look++) await page.waitForTimeout(300)
        return isDone()
      },
      STEP_MS_MAX,
    )
  }
  /** The sum is worked out by the guest: it is not the echo of what was typed. */
  const answers = (page: Page, word: string) =>
    typesUntil(page, `echo $((6 * 7))-${word}`, async () => (await terminal(page).innerText()).includes(`42-${word}`))
  const open = async (path: string, kind: string) => {
    await browser.page.goto(path)
    await main().getByText(kind, { exact: true }).click()
    await connectedTo(browser.page)
  }

  /** From a host's own menu, after a look at what it does; the strip waits half a second before it does it. */
  const pullPlug = async (page: Page, host: string, beforeConfirm = async () => {}) => {
    await page.goto(`/hosts/${host}`)
    await page.getByRole('main').getByRole('button', { name: 'More', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Pull the plug' }).click()
    await page.getByRole('menu').waitFor({ state: 'detached' })
    const asked = page.getByRole('dialog', { name: `Pull the plug of ${host}?` })
    await asked.getByText('What this would do').waitFor()
    const pull = asked.getByRole('button', { name: 'Pull the plug' })
    assert.equal(await pull.isDisabled(), true, 'not without its name')
    await asked.getByLabel(`type ${host}`).fill(host)
    await beforeConfirm()
    await pull.click()
    await asked.waitFor({ state: 'detached' })
  }

  test('one more host is invited: what is to be typed there is shown once', async () => {
    const { page } = browser
    await page.goto('/hosts')
    await browser.press('Add a host')
    await page.getByRole('dialog').getByRole('button', { name: 'Make a token' }).click()
    await page
      .getByRole('dialog')
      .getByText(/^stead join stead-join-\S{20,}$/)
      .waitFor()
    await browser.check('an invitation')
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
  })

  test('an image is uploaded, and a machine is made of it that starts by itself', async () => {
    const { page } = browser
    const field = (label: string) => page.getByLabel(label, { exact: true })
    await page.goto('/administration?tab=images')
    await browser.press('Upload an image')
    await dialog()
      .getByLabel('File')
      .setInputFiles(await bootableGuest(folder, 'shell'))
    assert.equal(await dialog().getByLabel('Name', { exact: true }).inputValue(), 'small-guest')
    await confirm('Upload an image')
    await row('small-guest').waitFor()

    await page.goto('/create/machine')
    await field('Name').fill('desk')
    await choose('Image', 'small-guest')
    await field('Processors').fill('1')
    await field('Memory (GiB)').fill('0.125')
    await page.getByRole('group', { name: 'Disk 0' }).getByLabel('Disk (GiB)').fill('1')
    await field('With a screen and a keyboard').check()
    await browser.see(/memory free/)
    await browser.check('a machine from an image')
    await browser.picture('create-from-image')
    await main().getByRole('button', { name: 'Create', exact: true }).click()
    await page.waitForURL('**/guests/desk')
    await main().getByText('running').first().waitFor()
    await lab.untilProtected('desk')
    await browser.check('it runs')
  })

  test('the screen and the serial console of a guest are seen and typed into', async () => {
    const { page } = browser
    await open('/guests/desk?tab=console', 'Serial')
    await terminal(page).filter({ hasText: '/ #' }).waitFor()
    await answers(page, 'serial')
    await browser.check('serial console')
    await browser.picture('console-serial')

    await main().getByText('Screen', { exact: true }).click()
    await connectedTo(page)
    await page.locator('canvas').click()
    await type(page, 'touch /tmp/typed')
    await browser.check('screen')
    await browser.press('Paste text')
    const text = page.getByLabel('Text', { exact: true })
    await text.fill('touch /tmp/żółw\n')
    await browser.see(/The keyboard layout us cannot type ż/)
    await browser.check('paste')
    await text.fill('touch /tmp/{pasted}~1\n')
    await browser.picture('console-paste')
    await page.getByRole('dialog').getByRole('button', { name: 'Paste text' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await browser.picture('console-screen')

    await main().getByText('Serial', { exact: true }).click()
    await connectedTo(page)
    await typesUntil(page, 'ls /tmp', async () => {
      const shown = await terminal(page).innerText()
      return /^typed|\styped/m.test(shown) && shown.includes('{pasted}~1')
    })
  })

  test('somebody with few rights is made, comes over the LAN, and is told what he may not do', async () => {
    const { page } = browser
    await page.goto('/administration?tab=users')
    await browser.press('Create a user')
    await dialog().getByLabel('Name', { exact: true }).fill('eve')
    await confirm('Create a user')
    await row('eve').waitFor()
    await browser.press('Password: eve')
    await confirm('Password')
    const oneTime = await dialog().locator('code').innerText()
    await dialog().getByRole('button', { name: 'Close' }).last().click()
    await page.getByRole('tab', { name: 'Permissions' }).click()
    await browser.press('Give a role')
    await choose('Who', 'eve')
    await choose('Role', 'GuestUser')
    await dialog().getByLabel('On', { exact: true }).fill('/guests/desk')
    await confirm('Give a role')
    await row('/guests/desk').waitFor()

    proxy = await openLanProxy(lab)
    const visitor = await TestBrowser.open('https://10.66.0.1:8443', {
      proxy: proxy.url,
      elsewhere: /^https:\/\/10\.66\./,
    })
    try {
      const own = visitor.page
      const field = (label: string) => own.getByLabel(label, { exact: true })
      // Before anybody has signed in the page asks who comes; and what is refused below is a failed request.
      visitor.expect(/Failed to load resource.*40[13]/)
      own.setDefaultTimeout(STEP_MS_MAX)
      await own.goto('/guests')
      await field('User').fill('eve')
      await field('Password').fill(oneTime)
      await visitor.press('Sign in')
      await field('New password').fill(PASSWORD)
      await field('Once more').fill(PASSWORD)
      await visitor.press('Change the password')
      await own.getByRole('row').filter({ hasText: 'desk' }).waitFor()
      assert.equal(await own.getByRole('row').filter({ hasText: 'web1' }).count(), 0)
      await own.goto('/guests/desk')
      const remove = own.getByRole('main').locator('button[aria-disabled="true"]', { hasText: 'Delete' })
      await remove.waitFor()
      assert.equal(await remove.getAttribute('aria-description'), 'You may not: it needs guest.delete on /guests/desk')
      await own.goto('/guests/desk?tab=console')
      // One that is left before it is there is a failed connection to the browser.
      await connectedTo(own)
      await own.getByRole('main').getByText('Serial', { exact: true }).click()
      await connectedTo(own)
      await answers(own, 'eve')
      await visitor.check('a page of somebody with few rights')
      await own.goto('/guests/web1')
      await own.getByText('web1').last().waitFor()
      assert.equal(await own.getByRole('button', { name: 'Stop', exact: true }).count(), 0)
    } finally {
      await visitor.close()
    }
  })

  test('the map tells what would come of it if the host of a guest failed, and the networks are measured', async () => {
    const { page } = browser
    const { host } = await lab.guest('desk')
    await page.goto('/what-if')
    await page.getByRole('button', { name: `host ${host}`, exact: true }).click()
    const outcome = page.getByRole('region', { name: 'What this would do' })
    await outcome
      .getByRole('listitem')
      .filter({ hasText: 'desk' })
      .getByText(new RegExp(`^${host} → h[123]`))
      .waitFor()
    await browser.check('what if a host failed')
    await page.goto('/networks')
    await browser.press('Measure latency and loss')
    await page
      .getByRole('cell', { name: /ms to h[123]$/ })
      .first()
      .waitFor()
    await browser.check('what was measured of the networks')
  })

  test('a shell in a container has the size of the page, ends by itself, and another one is opened', async () => {
    const { page } = browser
    await open('/guests/box?tab=console', 'Shell')
    await typesUntil(page, 'stty size', async () => /^\d+ 1\d\d\s*$/m.test(await terminal(page).innerText()))
    await browser.check('shell')
    await browser.picture('console-shell')
    await typesUntil(page, 'exit 3', () => page.getByText('The shell has ended (3)').isVisible())
    await browser.press('Open another shell')
    await connectedTo(page)
    await answers(page, 'another')
  })

  test('what guests use is told by their host; a container is dumped into a file', async () => {
    const { page } = browser
    const { host } = await lab.guest('box')
    await page.goto(`/hosts/${host}`)
    await page.getByRole('tab', { name: 'Use' }).click()
    await row('box').getByRole('cell', { name: /MiB/ }).first().waitFor()
    await browser.check('what guests use')
    await browser.picture('host-use')
    await page.goto('/guests/box')
    await main().getByRole('button', { name: 'More', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Dump into a file' }).click()
    await confirm('Dump')
    const link = dialog().getByRole('link', { name: /^Download/ })
    await link.waitFor()
    await browser.check('a dump')
    const download = page.waitForEvent('download')
    await link.click()
    assert.match((await download).suggestedFilename(), /^box-\d{8}-\d{6}\.tar\.zst$/)
    await (await download).delete()
  })

  test('a container shows what it holds and may have, and its limits are changed at once', async () => {
    const { page } = browser
    await page.goto('/guests/box?tab=counters')
    await page.getByRole('rowheader', { name: /numproc/ }).waitFor()
    await browser.check('counters')
    await browser.picture('guest-counters')
    await browser.press('Change the limits')
    const limits = page.getByRole('textbox', { name: 'Limits' })
    await limits.fill(`${await limits.inputValue()}\nnumproc=123`)
    await browser.see('What this would do')
    await browser.check('limits of a container')
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
    await page
      .getByRole('row', { name: /numproc/ })
      .getByRole('cell', { name: '123' })
      .first()
      .waitFor()
  })

  test('the console goes on when its guest moves live, also in a window of its own', async () => {
    const { page } = browser
    await open('/guests/desk?tab=console', 'Serial')
    const opening = page.waitForEvent('popup')
    await browser.press('In a window of its own')
    const own = await opening
    own.setDefaultTimeout(STEP_MS_MAX)
    await connectedTo(own)
    await answers(own, 'own')
    await terminal(page).filter({ hasText: '42-own' }).waitFor()
    const { host: from, epoch } = await lab.guest('desk')
    const to = from === 'h2' ? 'h3' : 'h2'
    await typesUntil(own, 'touch /tmp/before; ls /tmp', async () =>
      (await terminal(own).innerText()).includes('before'),
    )

    await browser.press('Move')
    await page.getByRole('radio', { name: to }).check()
    await browser.see('What this would do')
    await page.getByRole('dialog').getByRole('button', { name: 'Move', exact: true }).click()
    await connectedTo(page, to)
    await connectedTo(own, to)
    await answers(page, 'moved')
    await terminal(own).filter({ hasText: '42-moved' }).waitFor()
    // Its memory is the same: it has moved and not started again.
    await typesUntil(own, 'echo still-$(ls /tmp/before)', async () =>
      (await terminal(own).innerText()).includes('still-/tmp/before'),
    )
    assert.ok((await lab.guest('desk')).epoch > epoch)
    await browser.check('after the move')
    await own.close()
  })

  test('its host loses its power: the console leaves the old run, and is back in the new one', async () => {
    const { page } = browser
    await open('/guests/desk?tab=console', 'Serial')
    const { host } = await lab.guest('desk')
    // In a window of its own: a tab behind another one draws late, or not at all.
    const elsewhere = await page
      .context()
      .browser()!
      .newContext({ baseURL: new URL(page.url()).origin, locale: 'en' })
    const other = await elsewhere.newPage()
    other.setDefaultTimeout(STEP_MS_MAX)
    // It waits for the new run; on a quick machine that is there before the console has missed the old one.
    const left = page.getByText(`Connected; it runs on ${host}`).waitFor({ state: 'hidden' })
    await Promise.all([left.then(() => browser.picture('console-waiting')), pullPlug(other, host ?? '')])
    // The page of the dead host is served by another one by now.
    await other.getByRole('main').getByText('lost', { exact: true }).first().waitFor()
    await connectedTo(page)
    await answers(page, 'back')
    assert.notEqual((await lab.guest('desk')).host, host)
    await browser.check('after the failover')
    await other.getByRole('main').getByRole('button', { name: 'More', exact: true }).click()
    await other.getByRole('menuitem', { name: 'Put the plug in' }).click()
    await other.getByRole('dialog').getByRole('button', { name: 'Put the plug in' }).click()
    await other.getByRole('main').getByText('online', { exact: true }).first().waitFor()
    await elsewhere.close()
    await lab.until('the host is back', async () => (await lab.hosts()).every(({ state }) => state === 'online'))
  })

  test('shows a guest, stops it and starts it, and goes to another host when one dies', async () => {
    const { page } = browser
    await page.goto('/')
    await browser.see('Everything runs')
    await browser.check('overview')
    await page.goto('/guests/web1')
    await page.getByRole('main').getByText('running').first().waitFor()
    await browser.press('Stop')
    await page.getByLabel('Cut its power').check()
    await browser.see('What this would do')
    await page.getByRole('dialog').getByRole('button', { name: 'Stop', exact: true }).click()
    await page.getByRole('main').getByText('stopped').first().waitFor()
    await lab.until('it has stopped', async () => (await lab.guest('web1')).state === 'stopped')
    // Only then can it be started again.
    await page.locator('button:not([aria-disabled="true"])', { hasText: 'Start' }).first().waitFor()
    await browser.press('Start')
    await page.getByRole('main').getByText('running').first().waitFor()

    let host: string | null = null
    await lab.until('it runs on a host', async () => {
      const guest = await lab.guest('web1')
      ;({ host } = guest)
      return guest.state === 'running' && host !== null
    })
    // The host that was away has its copy again, by which the guest can come back.
    await lab.untilProtected('web1')
    await pullPlug(page, host ?? '', async () => {
      await browser.check('pull the plug')
      await browser.picture('host-plug')
    })
    await page.getByRole('link', { name: 'Overview' }).first().click()
    await browser.see('One host is lost')
    await browser.see('3 of 3 guests run')
    // What the next failure would do has been thought over again.
    await browser.see(/nothing can be decided until more voters/)
    await browser.picture('failover')
    await page.goto('/guests/web1')
    const elsewhere = page
      .getByRole('main')
      .getByRole('link', { name: /^h\d$/ })
      .filter({ hasNotText: host ?? '' })
    await elsewhere.first().waitFor()
    await page.getByRole('main').getByText('running').first().waitFor()
    assert.notEqual((await lab.guest('web1')).host, host)
    await browser.check('after a failover')
  })
})
