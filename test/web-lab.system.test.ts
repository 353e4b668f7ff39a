/** The web interface as the agents of a real cluster serve it, through the lab's door on loopback. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { TestBrowser } from './support/browser.ts'
import { LabCluster } from './support/lab-cluster.ts'

suite('the web interface of a real cluster', { timeout: 400_000 }, () => {
  let lab: LabCluster
  let browser: TestBrowser | undefined

  before(async () => {
    lab = await LabCluster.up()
    await lab.createIdle('web1', { host: 'h1' })
    const { url } = await lab.json<{ url: string }>('lab', 'status')
    browser = await TestBrowser.open(url)
  })
  after(async () => {
    // What failed before it was opened must not leave the lab behind.
    await browser?.close()
    await lab.down()
  })

  test('shows a guest, stops it and starts it, and goes to another host when one dies', async () => {
    assert.ok(browser)
    const { page } = browser
    page.setDefaultTimeout(90_000)
    await page.goto('/')
    await browser.see('Everything runs and is protected')
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

    const { host } = await lab.guest('web1')
    // Streams and requests to the dead host break; that is all that the browser may complain of.
    browser.expect(/Failed to load resource|ERR_/)
    await lab.must('lab', 'power-off', host ?? '')
    await page.goto('/')
    await browser.see('One host is lost')
    await lab.until('the guest runs elsewhere', async () => {
      const guest = await lab.guest('web1')
      return guest.state === 'running' && guest.host !== host
    })
    await page.goto('/guests/web1')
    await page.getByRole('main').getByText('running').first().waitFor()
    await browser.check('after a failover')
  })
})
