/** Sends a greeting to a webhook now and says how that went; and what it has not taken. */
import { Button, Group, Modal, Stack } from '@mantine/core'
import { useState } from 'react'
import type { WebhookView } from '@stead/api/endpoints/webhooks.ts'
import type { ResponseOf } from '@stead/api/endpoint.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Result } from '@stead/core/result.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { durationText, momentText } from '../parts/figures.ts'
import { Facts } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './listing.module.css'

type Outcome = Result<ResponseOf<(typeof ENDPOINTS)['webhook.test']>>

export function WebhookTestDialog({ webhook, onClose }: { webhook: WebhookView; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const [isBusy, setBusy] = useState(false)
  const [outcome, setOutcome] = useState<Outcome>()
  const { failing, deliveredAt, lost } = webhook
  const send = async () => {
    setBusy(true)
    setOutcome(undefined)
    setOutcome(await client.call(ENDPOINTS['webhook.test'], { params: { webhook: webhook.name } }))
    setBusy(false)
  }
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('webhooks.askTest', { name: webhook.name })}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <Stack>
        <Facts
          items={[
            [t('webhooks.url'), webhook.url],
            [t('webhooks.took'), deliveredAt === null ? t('webhooks.never') : momentText(deliveredAt, language)],
            failing ? [t('webhooks.refuses'), failing.error] : undefined,
            failing ? [t('webhooks.since'), momentText(failing.since, language)] : undefined,
            failing ? [t('webhooks.nextTry'), momentText(failing.nextAt, language)] : undefined,
            lost > 0 ? [t('webhooks.given'), String(lost)] : undefined,
          ]}
        />
        <p className={classes.text}>{t('webhooks.testText')}</p>
        <p className={classes.text} role="status">
          {outcome?.ok
            ? t('webhooks.answered', {
                status: outcome.value.status,
                time: durationText(outcome.value.tookMs, language),
              })
            : ''}
        </p>
        {outcome && !outcome.ok ? <FailureAlert failure={outcome.error} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.close')}
          </Button>
          <Button loading={isBusy} onClick={() => void send()}>
            {t('webhooks.send')}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
