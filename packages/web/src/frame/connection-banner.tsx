/** Says that what is shown may be old. The client goes on asking every host; nothing is to be done here. */
import { useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { Icon } from '../parts/icon.tsx'
import classes from './connection-banner.module.css'

export function ConnectionBanner() {
  const t = useText()
  const connection = useLive((state) => state.connection)
  const failure = useLive((state) => state.failure)
  if (connection !== 'lost') return null
  return (
    <div className={classes.banner} role="status">
      <Icon name="warning" />
      <div>
        <strong>{t('offline.title')}</strong> {t('offline.text')}
        {failure ? <div className={classes.reason}>{failure.message}</div> : null}
      </div>
    </div>
  )
}
