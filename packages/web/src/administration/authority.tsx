/** Who signs the certificates of the hosts' pages: what a browser is given once, so that it asks no more. */
import { Button } from '@mantine/core'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { Facts, Panel } from '../parts/page.tsx'
import { saveText } from '../parts/save-file.ts'
import classes from './listing.module.css'

export function Authority() {
  const t = useText()
  const asked = useAsked(['authority'], (client) => client.call(ENDPOINTS['auth.authority']))
  return (
    <Panel title={t('authority.title')}>
      <p className={classes.dim}>{t('authority.text')}</p>
      <Answered asked={asked}>
        {({ certificate, fingerprint }) => (
          <>
            <Facts items={[[t('authority.fingerprint'), <code key="fingerprint">{fingerprint}</code>]]} />
            <Button
              mt="sm"
              size="compact-sm"
              variant="default"
              onClick={() => saveText('stead-authority.pem', certificate, 'application/x-pem-file')}
            >
              {t('authority.save')}
            </Button>
          </>
        )}
      </Answered>
    </Panel>
  )
}
