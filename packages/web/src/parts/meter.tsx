/** How much of something is taken: a bar, and the figures in words. */
import classes from './meter.module.css'

/** `tone`: by how full it is when absent. */
export function Meter(props: { label: string; part: number; whole: number; text: string; tone?: 'good' }) {
  const { label, part, whole, text } = props
  const share = whole === 0 ? 0 : Math.min(1, part / whole)
  const tone = props.tone ?? (share > 0.9 ? 'bad' : share > 0.75 ? 'warn' : 'good')
  return (
    <div className={classes.meter}>
      <div className={classes.line}>
        <span>{label}</span>
        <span className={classes.figures}>{text}</span>
      </div>
      <svg className={classes.bar} data-tone={tone} viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect className={classes.rest} width="100" height="6" />
        <rect className={classes.part} width={share * 100} height="6" />
      </svg>
    </div>
  )
}
