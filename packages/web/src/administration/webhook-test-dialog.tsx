/** Sends a greeting to a webhook now and says how that went; and what it has not taken. */
import type { WebhookView } from '@stead/api/endpoints/webhooks.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { durationText, momentText } from '../parts/figures.ts'
import { Facts } from '../parts/page.tsx'
import classes from './listing.module.css'
import { TrialDialog } from '../parts/trial-dialog.tsx'

export function WebhookTestDialog({ webhook, onClose }: { webhook: WebhookView; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const { failing, deliveredAt, lost } = webhook
  return (
    <TrialDialog
      title={t('webhooks.askTest', { name: webhook.name })}
      confirm={t('webhooks.send')}
      ask={(client) => client.call(ENDPOINTS['webhook.test'], { params: { webhook: webhook.name } })}
      told={({ status, tookMs }) => (
        <p className={classes.text}>{t('webhooks.answered', { status, time: durationText(tookMs, language) })}</p>
      )}
      onClose={onClose}
    >
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
    </TrialDialog>
  )
}
